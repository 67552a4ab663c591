"""Curation: training records from segments, their mixtures, and the formats other trainers read."""
