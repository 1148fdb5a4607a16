"""Learning from wirings: small graph networks, beside models that need no graph."""
