"""RandWire's ER wirings."""

import networkx as nx

from ddw_graph.generators.arguments import (
    node_count,
    probability,
    random_seed,
    signed,
)
from ddw_graph.generators.orientation import oriented


def erdos_renyi(n: int, p: float, *, seed: int) -> nx.DiGraph:
    """Returns a wiring whose every pair of computing nodes is joined at random.

    Each pair has an edge with probability ``p``, from the smaller index to the larger.
    A node that no edge reaches stays: it hears the input and feeds the output.

    Args:
        n: Number of computing nodes, at least 1.
        p: Probability of an edge, in ``[0, 1]``.
        seed: Seed of this graph alone; equal arguments give equal graphs.

    Raises:
        WiringError: If an argument is out of range.

    Example:
        >>> list(erdos_renyi(2, 0.0, seed=0).edges)
        [(0, 1), (0, 2), (1, 3), (2, 3)]

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.3.
    """
    n, p, seed = node_count(n), probability(p), random_seed(seed)
    dag = oriented(nx.gnp_random_graph(n, p, seed=seed))
    return signed(dag, "er", n=n, p=p, seed=seed)
