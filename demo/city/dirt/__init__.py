"""What goes wrong in real systems, planted and listed."""
