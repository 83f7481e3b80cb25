"""Where a fit begins, and the recipe that leads from there to its end."""
