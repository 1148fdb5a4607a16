"""Learning from wirings: small graph networks, beside models that need no graph."""

import warnings

with warnings.catch_warnings():
    # It decorates with what torch deprecates, which is nothing that a user can change.
    warnings.simplefilter("ignore")
    import torch_geometric.nn  # noqa: F401
