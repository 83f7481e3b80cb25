"""Floor 4: judging fits, choosing among them, describing them."""
