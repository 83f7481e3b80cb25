"""Priors and posteriors."""
