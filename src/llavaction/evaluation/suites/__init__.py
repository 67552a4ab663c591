"""Suites: several benchmarks run one after the other, and one table of what came out beside published figures."""
