"""Readers of annotation folders."""
