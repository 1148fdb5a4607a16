"""RandWire's random graphs, and how one becomes a wiring.

Source:
    Xie et al. 2019, arXiv:1904.01569, sections 3.2 and 3.3.
"""

import networkx as nx

from ddw_graph.generators.arguments import check_edges
from ddw_graph.generators.registry import register
from ddw_graph.wiring import WiringError, with_terminals

TRIES = 100
"""Draws of a WS graph until one is connected."""


@register("er")
def erdos_renyi(n: int, p: float, *, seed: int) -> nx.DiGraph:
    """Returns a wiring whose every pair of computing nodes is joined at random.

    A node without an edge stays: the input feeds it, and it feeds the output.

    Args:
        p: Probability of an edge, in ``[0, 1]``.

    Example:
        >>> list(erdos_renyi(2, 0.0, seed=0).edges)
        [(0, 1), (0, 2), (1, 3), (2, 3)]
    """
    _check_probability(p)
    check_edges(p * n * (n - 1) / 2, n=n, p=p)
    return oriented(nx.gnp_random_graph(n, p, seed=seed))


@register("ba")
def barabasi_albert(n: int, m: int, *, seed: int) -> nx.DiGraph:
    """Returns a wiring grown node by node, where the well-connected gain more edges.

    It begins with ``m`` nodes and no edge; each further node is joined to ``m`` of
    those before it, drawn in proportion to their degree: ``m * (n - m)`` edges among
    the computing nodes.

    Args:
        m: Edges that a new node brings, with ``1 <= m < n``.

    Example:
        >>> list(barabasi_albert(3, 2, seed=0).edges)
        [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]
    """
    if not 1 <= m < n:
        raise WiringError(f"m must be at least 1 and below n, got m={m}, n={n}")
    check_edges(m * (n - m), n=n, m=m)
    # The first new node finds m nodes without an edge and joins them all: a star.
    # NetworkX would begin with a star of its own around node 0, another network.
    start = nx.Graph()
    start.add_nodes_from(range(m + 1))
    start.add_edges_from((leaf, m) for leaf in range(m))
    return oriented(nx.barabasi_albert_graph(n, m, seed=seed, initial_graph=start))


@register("ws")
def watts_strogatz(n: int, k: int, p: float, *, seed: int) -> nx.DiGraph:
    """Returns a small-world wiring: a connected ring, some of its edges rewired.

    Each of the ``n`` computing nodes on a ring is joined to its ``k`` nearest, and each
    edge is rewired with probability ``p``: ``n * k / 2`` edges among the computing
    nodes.

    Args:
        k: Ring neighbours of a node; even, with ``2 <= k < n``.
        p: Rewiring probability, in ``[0, 1]``.

    Raises:
        WiringError: If an argument is out of range, or none of 100 draws was connected.

    Example:
        >>> list(watts_strogatz(3, 2, 0.0, seed=0).edges)
        [(0, 1), (1, 2), (1, 3), (2, 3), (3, 4)]
    """
    _check_probability(p)
    if k % 2 or not 2 <= k < n:
        raise WiringError(f"k must be even with 2 <= k < n, got k={k}, n={n}")
    check_edges(n * k / 2, n=n, k=k)
    try:
        return oriented(nx.connected_watts_strogatz_graph(n, k, p, TRIES, seed))
    except nx.NetworkXError as error:
        raise WiringError(
            f"one of {TRIES} draws must be connected, got none of ws with "
            f"n={n}, k={k}, p={p}; take a larger k or another seed"
        ) from error


def oriented(graph: nx.Graph) -> nx.DiGraph:
    """Returns the wiring of an undirected graph on nodes ``0..n-1``.

    Every edge points from its smaller index to its larger one, which leaves no cycle;
    then come the input and the output node.

    Example:
        >>> list(oriented(nx.path_graph(2)).edges)
        [(0, 1), (1, 2), (2, 3)]
    """
    inner = nx.DiGraph()
    inner.add_nodes_from(range(len(graph)))
    inner.add_edges_from((min(edge), max(edge)) for edge in graph.edges)
    return with_terminals(inner)


def _check_probability(p: float) -> None:
    if not 0 <= p <= 1:
        raise WiringError(f"p must be in [0, 1], got p={p}")
