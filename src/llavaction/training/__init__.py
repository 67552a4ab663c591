"""Training: from records and videos to a checkpoint."""
