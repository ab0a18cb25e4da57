"""What was charged and what was answered, durably."""
