"""Ways of asking a model: score options, generate."""
