"""How well a fit is known."""
