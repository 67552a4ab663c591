"""What the makers of public benchmarks, and their public evaluators, do with answers."""
