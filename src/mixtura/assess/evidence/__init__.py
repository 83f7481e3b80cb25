"""The log evidence of a mixture: by importance sampling, from draws, and from modes."""
