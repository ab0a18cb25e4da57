"""A department's service: the only code that opens records."""
