"""Ways of asking a model: generate, score options, encode."""
