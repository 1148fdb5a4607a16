"""Deployment: exported files that run elsewhere, and predictions on image files."""
