"""For tests, ours and those of plug-ins: tiny random models with the layout of the real ones."""
