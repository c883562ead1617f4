"""What every component stands on; imports nothing of ours."""
