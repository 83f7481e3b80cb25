"""The posterior density of many mixtures, but for the evidence that is its constant."""

from mixtura.inference.log_posterior import LogPosterior as LogPosteriors
from mixtura.inference.log_posterior import check_weights

__all__ = ["LogPosteriors", "check_weights"]
