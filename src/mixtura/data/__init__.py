"""Floor 1: sources of blocks of rows. No source knows what a Gaussian is."""
