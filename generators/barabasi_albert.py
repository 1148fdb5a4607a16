"""RandWire's BA wirings."""

import networkx as nx

from ddw_graph.generators.arguments import integer, node_count, random_seed, signed
from ddw_graph.generators.orientation import oriented
from ddw_graph.wiring import WiringError


def barabasi_albert(n: int, m: int, *, seed: int) -> nx.DiGraph:
    """Returns a wiring grown node by node, where the well-connected gain more edges.

    It begins with ``m`` nodes and no edge; each further node is joined to ``m`` of
    those before it, drawn in proportion to their degree. Edges point from the earlier
    node to the later: ``m * (n - m)`` of them among the computing nodes.

    Args:
        n: Number of computing nodes.
        m: Edges that a new node brings, with ``1 <= m < n``.
        seed: Seed of this graph alone; equal arguments give equal graphs.

    Raises:
        WiringError: If an argument is out of range.

    Example:
        >>> list(barabasi_albert(3, 2, seed=0).edges)
        [(0, 1), (0, 2), (1, 3), (2, 3), (3, 4)]

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.3.
    """
    n, seed = node_count(n), random_seed(seed)
    m = integer("m", m, least=1)
    if m >= n:
        raise WiringError(f"m must be at least 1 and below n, got m={m}, n={n}")
    # The first node to come finds m nodes without an edge and joins them all: a star.
    # NetworkX would begin with a star of its own around node 0, another network.
    start = nx.Graph()
    start.add_nodes_from(range(m + 1))
    start.add_edges_from((leaf, m) for leaf in range(m))
    dag = oriented(nx.barabasi_albert_graph(n, m, seed=seed, initial_graph=start))
    return signed(dag, "ba", n=n, m=m, seed=seed)
