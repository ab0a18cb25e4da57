"""Flower at the node: the installed ClientApp and its adapter."""

from node.config import silence_flower

# Before any module of this package imports flwr: no telemetry, no update check.
silence_flower()
