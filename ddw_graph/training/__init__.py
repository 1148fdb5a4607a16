"""Data, recipes, and the training of one network."""
