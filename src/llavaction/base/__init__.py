"""What every room stands on: errors, records on disk, configuration, seeds, registries, progress."""
