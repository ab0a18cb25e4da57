"""The adapter to Flower: the node's installed ClientApp."""
