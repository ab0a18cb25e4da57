"""The node's own decisions: approvals, policy, budget."""
