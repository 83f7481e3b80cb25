"""Floor 1: the mathematics of a Gaussian mixture. No function here holds data."""
