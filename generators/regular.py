"""Wirings without chance: their number of nodes says it all."""

from collections.abc import Iterable, Iterator

import networkx as nx

from ddw_graph.generators.arguments import node_count, signed
from ddw_graph.wiring import check


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
    n = node_count(n)
    return signed(_wiring(n, _upward(0, n + 2)), "complete", n=n)


def densenet(n: int) -> nx.DiGraph:
    """Returns DenseNet's wiring: every node hears all before it.

    As a set of edges it is the complete DAG. DenseNet concatenates what a node hears;
    a stage adds it.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> densenet(5).edges == complete(5).edges
        True

    Source:
        Huang et al. 2017, arXiv:1608.06993.
    """
    n = node_count(n)
    return signed(_wiring(n, _upward(0, n + 2)), "densenet", n=n)


def vgg(n: int) -> nx.DiGraph:
    """Returns the chain: every node hears the one before it.

    Args:
        n: Number of computing nodes, at least 1.

    Raises:
        WiringError: If ``n`` is out of range.

    Example:
        >>> list(vgg(2).edges)
        [(0, 1), (1, 2), (2, 3)]
    """
    n = node_count(n)
    return signed(_wiring(n, ((i, i + 1) for i in range(n + 1))), "vgg", n=n)


def resnet(n: int) -> nx.DiGraph:
    """Returns the chain with shortcuts: every node hears the two before it.

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
    n = node_count(n)
    edges = ((i, j) for i in range(n + 1) for j in (i + 1, i + 2) if j < n + 2)
    return signed(_wiring(n, edges), "resnet", n=n)


def residual(n: int) -> nx.DiGraph:
    """Returns a residual stage unrolled, each block a node.

    The input feeds node 1 alone; the computing nodes and the output form a complete
    DAG: a node hears all before it, as ``x + block(x)`` piles them up.

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
    n = node_count(n)
    edges = (edge for part in ([(0, 1)], _upward(1, n + 2)) for edge in part)
    return signed(_wiring(n, edges), "residual", n=n)


def _upward(first: int, stop: int) -> Iterator[tuple[int, int]]:
    return ((i, j) for i in range(first, stop) for j in range(i + 1, stop))


def _wiring(n: int, edges: Iterable[tuple[int, int]]) -> nx.DiGraph:
    dag = nx.DiGraph()
    dag.add_nodes_from(range(n + 2))
    dag.add_edges_from(edges)
    return check(dag)
