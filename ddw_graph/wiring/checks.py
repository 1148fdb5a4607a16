"""The rules that make a directed graph a wiring."""

import reprlib
from math import inf
from numbers import Real
from typing import Any

import networkx as nx

from ddw_graph.errors import WiringError

MAX_NODES = 10_000
"""Most nodes of a wiring, input and output counted."""

MAX_EDGES = 5_000_000
"""Most edges of a wiring: NetworkX takes about 170 bytes for each, 0.8 GB in all."""

IDENTITY = "identity"
"""The attribute ``operation`` of a node that computes nothing: it emits the sum of its
inputs."""

MAX_WEIGHT = (2 - 2**-23) * 2.0**127
"""Largest weight of an edge: that of float32."""


def check(dag: Any) -> nx.DiGraph:
    """Returns ``dag`` itself once it is known to be a wiring.

    Nodes are the integers ``0..N-1`` in topological order, so that every edge ``i ->
    j`` has ``i < j``; only node 0 has no input edge, and only node N-1 no output edge.
    The order in which the graph holds its nodes and edges does not matter. A node with
    the attribute ``operation="identity"`` computes nothing; other attributes do not
    matter. Takes time proportional to the number of edges.

    Raises:
        WiringError: If a rule does not hold; the message states the rule and what came.

    Example:
        >>> check(nx.DiGraph([(0, 1), (1, 2), (0, 2)])).number_of_edges()
        3
        >>> check(nx.DiGraph([(0, 1)]).reverse())
        Traceback (most recent call last):
        ddw_graph.errors.WiringError: nodes must be numbered in topological order ...
    """
    check_numbering(dag)
    size = len(dag)
    if size < 3:
        raise WiringError(
            "a wiring must have at least 3 nodes (input, one that computes, output), "
            f"got {size}"
        )
    for what, node, edges in (("input", 0, dag.pred), ("output", size - 1, dag.succ)):
        bare = [
            str(other) for other in range(size) if not edges[other] and other != node
        ]
        if bare:
            names = (
                f"node {bare[0]}" if len(bare) == 1 else f"nodes {', '.join(bare[:5])}"
            )
            more = ", ..." if len(bare) > 5 else ""
            raise WiringError(
                f"every node but {node}, the {what}, must have an {what} edge, "
                f"got none of {names}{more}"
            )
    inner = range(1, size - 1)
    for node, operation in dag.nodes(data="operation"):
        fits = isinstance(operation, str) and operation == IDENTITY and node in inner
        if operation is not None and not fits:
            raise WiringError(
                f'a node\'s attribute operation must be "{IDENTITY}", and input and '
                f"output have none, got {reprlib.repr(operation)} for node {node}"
            )
    if all(dag.nodes[node].get("operation") for node in inner):
        raise WiringError(
            "a wiring must have a node that computes, got identity nodes only"
        )
    return dag


def computing_nodes(dag: nx.DiGraph) -> list[int]:
    """Returns the nodes of a wiring that compute, ascending; there are n of them.

    These are all but the input, the output and the identity nodes, which have the
    attribute ``operation="identity"``.

    Example:
        >>> dag = nx.DiGraph([(0, 1), (1, 2), (2, 3)])
        >>> dag.nodes[2]["operation"] = "identity"
        >>> computing_nodes(dag)
        [1]
    """
    inner = range(1, len(dag) - 1)
    return [node for node in inner if dag.nodes[node].get("operation") is None]


def check_numbering(dag: Any) -> nx.DiGraph:
    """Returns ``dag`` if it is a DAG on nodes ``0..N-1`` in topological order."""
    if not isinstance(dag, nx.DiGraph):
        kind = "an undirected " if isinstance(dag, nx.Graph) else "a "
        raise WiringError(
            "a wiring must be a directed graph (nx.DiGraph), got "
            f"{kind}{type(dag).__name__}"
        )
    if dag.is_multigraph():
        raise WiringError(
            "a wiring must have at most one edge from a node to another, "
            "got a multigraph"
        )
    size = len(dag)
    check_size(size, dag.number_of_edges())
    for node in dag:
        # True == 1.0 == 1 for a dict, but neither a bool nor a float is a node's name.
        if type(node) is not int or not 0 <= node < size:
            raise WiringError(
                f"nodes must be the integers 0..N-1, here 0..{size - 1}, got {node!r}"
            )
    loop = next((node for node in range(size) if node in dag.succ[node]), None)
    if loop is not None:
        raise WiringError(
            f"edges must join two nodes, got the self-loop {loop} -> {loop}"
        )
    wrong = next(
        ((i, j) for i, targets in dag.adjacency() for j in targets if i > j), None
    )
    if wrong is None:
        return dag
    if not nx.is_directed_acyclic_graph(dag):
        cycle = [str(source) for source, _ in nx.find_cycle(dag)]
        shown = [*cycle[:8], *(["..."] if len(cycle) > 8 else []), cycle[0]]
        raise WiringError(
            f"a wiring must be acyclic, got the cycle {' -> '.join(shown)}"
        )
    raise WiringError(
        "nodes must be numbered in topological order (i < j for every edge i -> j), "
        f"got the edge {wrong[0]} -> {wrong[1]}"
    )


def check_size(nodes: int, edges: int) -> None:
    """Checks the counts of a wiring, for files before a node is built."""
    for count, most, what in ((nodes, MAX_NODES, "nodes"), (edges, MAX_EDGES, "edges")):
        if count > most:
            found = count if count < 10**20 else f"{count.bit_length()} bits of them"
            raise WiringError(f"a wiring must have at most {most} {what}, got {found}")


def edge_list(dag: nx.DiGraph) -> list[tuple[int, int]]:
    """Returns the edges ``(i, j)`` sorted by source and then by target.

    The order does not depend on how the graph was put together.

    Example:
        >>> edge_list(nx.DiGraph([(1, 2), (0, 2), (0, 1)]))
        [(0, 1), (0, 2), (1, 2)]
    """
    return [(i, j) for i in sorted(dag) for j in sorted(dag.succ[i])]


def edge_attributes(dag: nx.DiGraph) -> tuple[float, ...] | None:
    """Returns the attribute ``weight`` of each edge, in the order of ``edge_list``.

    It is 1 where an edge has none. None where no edge has one.

    Raises:
        WiringError: If one is no finite number.

    Example:
        >>> dag = nx.DiGraph([(0, 1), (1, 2)])
        >>> dag.edges[0, 1]["weight"] = 0.5
        >>> edge_attributes(dag)
        (0.5, 1.0)
    """
    if not any("weight" in data for *_, data in dag.edges(data=True)):
        return None
    weights = []
    for i, j in edge_list(dag):
        weight = dag.edges[i, j].get("weight", 1.0)
        real = isinstance(weight, Real) and not isinstance(weight, bool)
        try:
            number = float(weight) if real else inf
        except OverflowError:  # an integer
            number = inf
        if not abs(number) <= MAX_WEIGHT:
            raise WiringError(
                "an edge's attribute weight must be a finite number of float32, got "
                f"{reprlib.repr(weight)} for {i} -> {j}"
            )
        weights.append(number)
    return tuple(weights)
