"""A wiring in numbers."""

from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from ddw_graph.wiring.checks import check, computing_nodes


@dataclass(frozen=True)
class Description:
    """Counts and distances of a wiring.

    Args:
        nodes: All nodes (N), input and output counted.
        computing: How many nodes compute (n).
        edges: All edges.
        depth: Edges on the longest path from input to output.
        sources: How many nodes the input feeds.
        sinks: How many nodes feed the output.
        paths: How many paths lead from input to output; exact, however many.
        in_degrees: Input edges of each node.
        out_degrees: Output edges of each node.
        clustering: Mean clustering coefficient of the inner nodes, without directions;
            None without ``distances``.
        average_path_length: Mean distance in edges between two inner nodes, without
            directions, over the pairs that reach each other; None if no pair does, or
            without ``distances``.
    """

    nodes: int
    computing: int
    edges: int
    depth: int
    sources: int
    sinks: int
    paths: int
    in_degrees: list[int]
    out_degrees: list[int]
    clustering: float | None = None
    average_path_length: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields by name, ready for JSON."""
        return asdict(self)


def describe(dag: nx.DiGraph, *, distances: bool = True) -> Description:
    """Returns a wiring in numbers.

    Counts take time in proportion to the edges; distances search from every computing
    node, which takes n times as long.

    Args:
        distances: Whether to measure clustering and path length too.

    Example:
        >>> found = describe(nx.DiGraph([(0, 1), (0, 2), (1, 2), (1, 3), (2, 3)]))
        >>> found.depth, found.paths, found.sources, found.sinks
        (3, 3, 2, 2)
        >>> found.average_path_length
        1.0
    """
    check(dag)
    nodes = range(len(dag))
    layer, paths = longest_path_layers(dag), [1]
    for j in nodes[1:]:
        paths.append(sum(paths[i] for i in dag.pred[j]))
    clustering, length = _distances(dag) if distances else (None, None)
    return Description(
        nodes=len(dag),
        computing=len(computing_nodes(dag)),
        edges=dag.number_of_edges(),
        depth=layer[-1],
        sources=len(dag.succ[0]),
        sinks=len(dag.pred[nodes[-1]]),
        paths=paths[-1],
        in_degrees=[len(dag.pred[j]) for j in nodes],
        out_degrees=[len(dag.succ[i]) for i in nodes],
        clustering=clustering,
        average_path_length=length,
    )


def longest_path_layers(dag: nx.DiGraph) -> list[int]:
    """Returns for each node the edges on the longest path that leads to it.

    Example:
        >>> longest_path_layers(nx.DiGraph([(0, 1), (0, 2), (1, 2), (0, 3), (2, 3)]))
        [0, 1, 2, 3]
    """
    layer = [0]
    for j in range(1, len(dag)):
        layer.append(1 + max(layer[i] for i in dag.pred[j]))
    return layer


def _distances(dag: nx.DiGraph) -> tuple[float, float | None]:
    inner = nx.Graph()
    inner.add_nodes_from(range(1, len(dag) - 1))
    inner.add_edges_from(edge for edge in dag.edges if edge[0] and edge[1] in inner)
    total = pairs = 0
    for _, found in nx.all_pairs_shortest_path_length(inner):
        total += sum(found.values())
        # A node finds itself as well, at distance 0.
        pairs += len(found) - 1
    return float(nx.average_clustering(inner)), total / pairs if pairs else None
