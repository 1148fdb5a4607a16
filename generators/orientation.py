"""From an undirected random graph to a wiring."""

import networkx as nx

from ddw_graph.wiring import with_terminals


def oriented(graph: nx.Graph) -> nx.DiGraph:
    """Returns the wiring of an undirected graph on nodes ``0..n-1``.

    Every edge points from its smaller index to its larger one, which leaves no cycle;
    then come the input and the output node.

    Example:
        >>> list(oriented(nx.path_graph(2)).edges)
        [(0, 1), (1, 2), (2, 3)]

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.2.
    """
    inner = nx.DiGraph()
    inner.add_nodes_from(range(len(graph)))
    inner.add_edges_from((min(edge), max(edge)) for edge in graph.edges)
    return with_terminals(inner)
