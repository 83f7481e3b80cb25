"""Floor 2: the only place where model meets data."""

from mixtura.sweep.assign import Assignment, hard, soft
from mixtura.sweep.passes import Sweep, Swept, accumulate

__all__ = ["Assignment", "Sweep", "Swept", "accumulate", "hard", "soft"]
