"""Floor 2: the only place where model meets data."""

from mixtura.sweep.assign import hard, soft
from mixtura.sweep.passes import Sweep, Swept, accumulate

__all__ = ["Sweep", "Swept", "accumulate", "hard", "soft"]
