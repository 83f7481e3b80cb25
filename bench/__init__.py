"""The benchmark suite: mixtura beside its peers and beside what the machine can do. ``python -m bench`` runs it."""
