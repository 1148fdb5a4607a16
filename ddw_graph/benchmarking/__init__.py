"""Benchmarks: time and memory, each relative to something that others know."""
