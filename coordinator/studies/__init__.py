"""Studies and their approvals."""
