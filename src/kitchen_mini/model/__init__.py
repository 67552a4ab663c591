"""The mini model: its shape, its first weights, and how it grows."""
