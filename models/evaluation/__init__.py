"""How good a model is, with intervals, from noisy histograms."""
