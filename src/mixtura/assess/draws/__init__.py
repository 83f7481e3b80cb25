"""What draws say."""
