"""Studies, approvals, releases and the states they pass through."""
