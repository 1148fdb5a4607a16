"""RandWire's WS wirings."""

import networkx as nx

from ddw_graph.generators.arguments import (
    integer,
    node_count,
    probability,
    random_seed,
    signed,
)
from ddw_graph.generators.orientation import oriented
from ddw_graph.wiring import WiringError


def watts_strogatz(
    n: int, k: int, p: float, *, seed: int, tries: int = 100
) -> nx.DiGraph:
    """Returns a small-world wiring: a connected ring, some of its edges rewired.

    Each of the ``n`` computing nodes on a ring is joined to its ``k`` nearest, each
    edge is rewired with probability ``p``, and edges then point from the lower index to
    the higher: ``n * k / 2`` of them among the computing nodes.

    Args:
        n: Number of computing nodes.
        k: Ring neighbours of a node; even, with ``2 <= k < n``.
        p: Rewiring probability, in ``[0, 1]``.
        seed: Seed of this graph alone; equal arguments give equal graphs.
        tries: Draws to make before giving up on a connected graph.

    Raises:
        WiringError: If an argument is out of range, or no draw was connected.

    Example:
        >>> list(watts_strogatz(3, 2, 0.0, seed=0).edges)
        [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4)]

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.3.
    """
    n, p, seed = node_count(n), probability(p), random_seed(seed)
    k, tries = integer("k", k, least=2), integer("tries", tries, least=1)
    if k % 2 or k >= n:
        raise WiringError(f"k must be even with 2 <= k < n, got k={k}, n={n}")
    try:
        ring = nx.connected_watts_strogatz_graph(n, k, p, tries, seed)
    except nx.NetworkXError as error:
        raise WiringError(
            f"no connected graph in {tries} draws of ws with n={n}, k={k}, p={p}; "
            "a larger k makes one likelier"
        ) from error
    return signed(oriented(ring), "ws", n=n, k=k, p=p, seed=seed)
