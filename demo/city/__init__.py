"""A fictional municipality whose truth is known: residents, four departments, planted effects."""
