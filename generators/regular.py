"""Wirings that ``n``, the number of computing nodes, determines."""

import networkx as nx

from ddw_graph.generators.arguments import check_edges
from ddw_graph.generators.registry import register


@register("complete")
def complete(n: int) -> nx.DiGraph:
    """Returns the complete DAG: an edge from every node to every later one.

    Example:
        >>> list(complete(1).edges)
        [(0, 1), (0, 2), (1, 2)]
    """
    check_edges((n + 2) * (n + 1) / 2, n=n)
    return nx.DiGraph((i, j) for i in range(n + 2) for j in range(i + 1, n + 2))


@register("densenet")
def densenet(n: int) -> nx.DiGraph:
    """Returns DenseNet's wiring: every node receives from all before it.

    As a set of edges it is the complete DAG. DenseNet concatenates the inputs of a
    node; a stage adds them.

    Source:
        Huang et al. 2017, arXiv:1608.06993.
    """
    return complete(n)


@register("vgg")
def vgg(n: int) -> nx.DiGraph:
    """Returns the chain: every node receives from the one before it.

    Example:
        >>> list(vgg(2).edges)
        [(0, 1), (1, 2), (2, 3)]
    """
    return nx.path_graph(n + 2, create_using=nx.DiGraph)


@register("resnet")
def resnet(n: int) -> nx.DiGraph:
    """Returns the chain with shortcuts: every node receives from the two before it.

    The edges ``i -> i+1`` are the chain, the edges ``i -> i+2`` pass over one node. For
    the DAG that a residual network's blocks unroll to see :func:`residual`.

    Example:
        >>> list(resnet(2).edges)
        [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    """
    pairs = ((i, j) for i in range(n + 1) for j in (i + 1, i + 2))
    return nx.DiGraph((i, j) for i, j in pairs if j < n + 2)


@register("residual")
def residual(n: int) -> nx.DiGraph:
    """Returns a residual stage unrolled, each block a node.

    The input feeds node 1 only; the computing nodes and the output form a complete DAG:
    a node receives from all before it, as ``x + block(x)`` adds them up.

    Example:
        >>> list(residual(2).edges)
        [(0, 1), (1, 2), (1, 3), (2, 3)]

    Source:
        Veit et al. 2016, arXiv:1605.06431.
    """
    check_edges((n + 1) * n / 2 + 1, n=n)
    dag = nx.DiGraph([(0, 1)])
    dag.add_edges_from((i, j) for i in range(1, n + 2) for j in range(i + 1, n + 2))
    return dag
