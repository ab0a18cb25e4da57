"""Outbound connections to the coordinator."""
