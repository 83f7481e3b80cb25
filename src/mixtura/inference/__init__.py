"""Floor 3: the algorithms, on one loop."""
