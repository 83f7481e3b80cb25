"""What is climbed, and when a climb ends."""
