"""The departments' tables, clean, from the simulated city."""
