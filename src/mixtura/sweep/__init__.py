"""Floor 2: passes over the data, on which scorers meet rows and moments are added up."""

from mixtura.sweep.assign import Assignment, Sampled, Slices, Weighted, hard, soft
from mixtura.sweep.passes import Sweep, Swept, accumulate, moments_of_all, without_traces

__all__ = [
    "Assignment",
    "Sampled",
    "Slices",
    "Sweep",
    "Swept",
    "Weighted",
    "accumulate",
    "hard",
    "moments_of_all",
    "soft",
    "without_traces",
]
