"""Which of several mixtures."""
