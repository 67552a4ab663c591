"""Models behind an OpenAI-compatible server: exact frames, letters by log-probability, retries, and what it costs."""
