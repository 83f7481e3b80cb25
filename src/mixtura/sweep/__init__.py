"""Floor 2: passes over the data, on which scorers meet rows and moments are added up."""

from mixtura.sweep.assign import Assignment, Sampled, Weighted, hard, soft
from mixtura.sweep.candidates import Truncated, among_all, dropped
from mixtura.sweep.given import accumulate, moments_of_all
from mixtura.sweep.passes import Sweep, Swept, without_traces
from mixtura.sweep.scores import log_likelihoods, mean_log_density
from mixtura.sweep.with_compiled import fits_cache

__all__ = [
    "Assignment",
    "Sampled",
    "Sweep",
    "Swept",
    "Truncated",
    "Weighted",
    "accumulate",
    "among_all",
    "dropped",
    "fits_cache",
    "hard",
    "log_likelihoods",
    "mean_log_density",
    "moments_of_all",
    "soft",
    "without_traces",
]
