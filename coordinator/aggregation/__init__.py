"""Secure sums at the coordinator: keys agreed on, masked messages added up, attempts counted."""
