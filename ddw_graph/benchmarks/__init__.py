"""Benchmarks: times and memory, each relative to something known."""
