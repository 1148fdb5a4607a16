"""Wirings that their number of nodes determines."""

from collections.abc import Iterable

import networkx as nx

from ddw_graph.generators.arguments import check_edges
from ddw_graph.generators.registry import register


@register("complete")
def complete(n: int) -> nx.DiGraph:
    """Returns the complete DAG: an edge from every node to every later one.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> list(complete(1).edges)
        [(0, 1), (0, 2), (1, 2)]
    """
    check_edges((n + 2) * (n + 1) / 2, n=n)
    return _graph(n, ((i, j) for i in range(n + 2) for j in range(i + 1, n + 2)))


@register("densenet")
def densenet(n: int) -> nx.DiGraph:
    """Returns DenseNet's wiring: every node receives from all before it.

    As a set of edges it is the complete DAG. DenseNet concatenates the inputs of a
    node; a stage adds them.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Source:
        Huang et al. 2017, arXiv:1608.06993.
    """
    return complete(n)


@register("vgg")
def vgg(n: int) -> nx.DiGraph:
    """Returns the chain: every node receives from the one before it.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> list(vgg(2).edges)
        [(0, 1), (1, 2), (2, 3)]
    """
    return _graph(n, ((i, i + 1) for i in range(n + 1)))


@register("resnet")
def resnet(n: int) -> nx.DiGraph:
    """Returns the chain with shortcuts: every node receives from the two before it.

    The edges ``i -> i+1`` are the chain, the edges ``i -> i+2`` pass over one node. For
    the DAG that a residual network's blocks unroll to see :func:`residual`.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> list(resnet(2).edges)
        [(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]
    """
    return _graph(
        n, ((i, j) for i in range(n + 1) for j in (i + 1, i + 2) if j < n + 2)
    )


@register("residual")
def residual(n: int) -> nx.DiGraph:
    """Returns a residual stage unrolled, each block a node.

    The input feeds node 1 only; the computing nodes and the output form a complete DAG:
    a node receives from all before it, as ``x + block(x)`` adds them up.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> list(residual(2).edges)
        [(0, 1), (1, 2), (1, 3), (2, 3)]

    Source:
        Veit et al. 2016, arXiv:1605.06431.
    """
    check_edges((n + 1) * n / 2 + 1, n=n)
    later = ((i, j) for i in range(1, n + 2) for j in range(i + 1, n + 2))
    return _graph(n, (edge for part in ([(0, 1)], later) for edge in part))


def _graph(n: int, edges: Iterable[tuple[int, int]]) -> nx.DiGraph:
    dag = nx.DiGraph()
    dag.add_nodes_from(range(n + 2))
    dag.add_edges_from(edges)
    return dag
