"""Learning from wirings: a small graph network, compared with plain models."""

import warnings

with warnings.catch_warnings():
    # PyTorch Geometric uses a decorator that torch deprecates.
    warnings.simplefilter("ignore")
    import torch_geometric.nn  # noqa: F401
