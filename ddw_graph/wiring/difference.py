"""The edges that two wirings share, and those of one only."""

from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from ddw_graph.wiring.checks import check, computing_nodes, edge_attributes, edge_list


@dataclass(frozen=True)
class WiringDiff:
    """The edges that two wirings share, and those of one only.

    Nodes are the same when their numbers are: N-1 is the output in a wiring of N nodes
    and may compute in a longer one.

    Args:
        nodes: How many nodes each has, input and output counted.
        only_first: Edges of the first only, sorted.
        only_second: Edges of the second only, sorted.
        shared: How many edges both have.
        reweighted: The edges among them whose attribute ``weight`` differs, sorted.
        computing: The inner nodes of both that compute in one of them only, sorted.
    """

    nodes: tuple[int, int]
    only_first: tuple[tuple[int, int], ...]
    only_second: tuple[tuple[int, int], ...]
    shared: int
    reweighted: tuple[tuple[int, int], ...] = ()
    computing: tuple[int, ...] = ()

    @property
    def similarity(self) -> float:
        """Shared edges over all edges that either has (Jaccard's index)."""
        return self.shared / (
            self.shared + len(self.only_first) + len(self.only_second)
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields and the similarity by name, ready for JSON."""
        return {**asdict(self), "similarity": self.similarity}


def diff(first: nx.DiGraph, second: nx.DiGraph) -> WiringDiff:
    """Returns the edges that two wirings share, and those of one only.

    Example:
        >>> chain = nx.DiGraph([(0, 1), (1, 2)])
        >>> skip = nx.DiGraph([(0, 1), (1, 2), (0, 2)])
        >>> diff(chain, skip).only_second
        ((0, 2),)
    """
    edges, others = _weights(first), _weights(second)
    shared = [edge for edge in edges if edge in others]
    computing = {*computing_nodes(first)} ^ {*computing_nodes(second)}
    both = range(min(len(first), len(second)) - 1)
    return WiringDiff(
        nodes=(len(first), len(second)),
        only_first=tuple(edge for edge in edges if edge not in others),
        only_second=tuple(edge for edge in others if edge not in edges),
        shared=len(shared),
        reweighted=tuple(edge for edge in shared if edges[edge] != others[edge]),
        computing=tuple(sorted(computing.intersection(both))),
    )


def _weights(dag: nx.DiGraph) -> dict[tuple[int, int], float]:
    """Returns the attribute ``weight`` of each edge, 1 where it has none."""
    edges = edge_list(check(dag))
    weights = edge_attributes(dag) or (1.0,) * len(edges)
    return dict(zip(edges, weights, strict=True))
