"""What a study could find in the city: the planted effects, estimated."""
