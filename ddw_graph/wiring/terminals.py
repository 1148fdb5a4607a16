"""From a DAG of computing nodes to a wiring: the input and the output node."""

import networkx as nx

from ddw_graph.errors import WiringError
from ddw_graph.wiring.checks import check, check_numbering


def with_terminals(inner: nx.Graph) -> nx.DiGraph:
    """Returns the wiring of a DAG on computing nodes, an input and an output added.

    Node ``i`` of ``inner`` becomes node ``i + 1``. The input node feeds every node
    without an input edge, and every node without an output edge feeds the output node.
    Attributes of the graph, of its nodes and edges are kept.

    Args:
        inner: A DAG on nodes ``0..n-1`` whose edges ``i -> j`` have ``i < j``.

    Raises:
        WiringError: If ``inner`` is empty or breaks the rule of its numbering.

    Example:
        >>> inner = nx.DiGraph([(0, 1)])
        >>> inner.add_node(2)
        >>> sorted(with_terminals(inner).edges)
        [(0, 1), (0, 3), (1, 2), (2, 4), (3, 4)]

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.2.
    """
    inner = check_numbering(inner)
    n = len(inner)
    if not n:
        raise WiringError("a wiring must have a node that computes, got none")
    dag = nx.DiGraph(**inner.graph)
    dag.add_nodes_from(range(n + 2))
    dag.add_nodes_from((node + 1, inner.nodes[node]) for node in range(n))
    dag.add_edges_from((0, j + 1) for j in range(n) if not inner.pred[j])
    for i in range(n):
        targets = sorted(inner.succ[i])
        dag.add_edges_from((i + 1, j + 1, inner.edges[i, j]) for j in targets)
        if not targets:
            dag.add_edge(i + 1, n + 1)
    return check(dag)
