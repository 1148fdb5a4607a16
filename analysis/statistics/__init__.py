"""Statistics of collected wirings: each function from arrays to a pandas table."""
