"""Classifiers that propose actions, and their predictions."""
