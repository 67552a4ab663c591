"""How options are scored: letters and label texts behind a prefix that is computed once."""
