"""The ledger's entries, their hash tree, what they add up to, and how an export is verified."""
