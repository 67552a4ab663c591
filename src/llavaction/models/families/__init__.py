"""Model families: how each kind of model takes a conversation and a clip."""
