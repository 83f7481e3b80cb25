"""Floor 2: the only place where model meets data."""

from mixtura.sweep.assign import hard, soft
from mixtura.sweep.passes import Swept, accumulate, sweep

__all__ = ["Swept", "accumulate", "hard", "soft", "sweep"]
