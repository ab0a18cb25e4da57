"""The coordinator's own chain: what departments reported and what it took from them."""
