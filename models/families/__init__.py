"""Model families, their one encoding and their prediction."""
