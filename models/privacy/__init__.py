"""Mechanisms, plans and accounting: what protects a resident, and what it costs."""
