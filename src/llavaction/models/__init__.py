"""Models: families, the action model, checkpoints and their conversion."""
