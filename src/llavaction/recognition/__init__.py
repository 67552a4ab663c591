"""Naming the action of a segment: verb, noun, action and how sure the model is of them."""
