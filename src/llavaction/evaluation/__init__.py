"""From a benchmark and a backend to predictions, metrics with intervals, comparisons and a report."""
