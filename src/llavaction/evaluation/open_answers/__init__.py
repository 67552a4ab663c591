"""Questions that are answered in free words, and how their answers are scored: by rule, by time, by a judge."""
