"""Other programs that ask our backends: a module for each, imported by that program alone."""
