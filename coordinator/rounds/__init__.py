"""Runs: their states, their rounds, their resumption."""
