"""The adapter to Flower: a grid over our own streams, and the strategies."""
