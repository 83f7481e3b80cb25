"""Floor 0: errors, linear algebra, random streams. Imports numpy and scipy only."""
