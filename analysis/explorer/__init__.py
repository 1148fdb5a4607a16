"""A page to explore wirings: which paths an image takes, and why another differs."""
