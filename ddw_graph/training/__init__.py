"""Data, recipes, the training loop, and comparisons."""
