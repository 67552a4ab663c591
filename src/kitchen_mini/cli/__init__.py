"""Commands of the toy world."""
