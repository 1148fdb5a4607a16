"""Sweeps: many runs over axes, here or on a cluster, each result once."""
