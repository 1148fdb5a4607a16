"""Experiments: many networks trained beside each other, and what they show."""
