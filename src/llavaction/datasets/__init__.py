"""Readers of annotation folders, and kitchen_mini, the rendered dataset that needs no download."""
