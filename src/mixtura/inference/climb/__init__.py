"""Climbing: the loop, and the solvers that take over in it."""
