"""Two wirings side by side."""

from dataclasses import dataclass
from typing import Any

import networkx as nx

from ddw_graph.wiring.checks import check, edge_list


@dataclass(frozen=True)
class WiringDiff:
    """What two wirings share and what only one of them has.

    Nodes are the same when their numbers are: N-1 is the output in a wiring of N nodes
    and may compute in a longer one.

    Args:
        nodes: How many nodes each has, input and output counted.
        only_first: Edges of the first alone, sorted.
        only_second: Edges of the second alone, sorted.
        shared: How many edges both have.
    """

    nodes: tuple[int, int]
    only_first: tuple[tuple[int, int], ...]
    only_second: tuple[tuple[int, int], ...]
    shared: int

    @property
    def similarity(self) -> float:
        """Shared edges over all edges that either has (Jaccard's index)."""
        return self.shared / (
            self.shared + len(self.only_first) + len(self.only_second)
        )

    @property
    def equal(self) -> bool:
        """Whether they are the same wiring."""
        return self.nodes[0] == self.nodes[1] and self.similarity == 1.0

    def as_dict(self) -> dict[str, Any]:
        """Returns the fields and the similarity by name, ready for JSON."""
        return {
            "nodes": list(self.nodes),
            "only_first": [list(edge) for edge in self.only_first],
            "only_second": [list(edge) for edge in self.only_second],
            "shared": self.shared,
            "similarity": self.similarity,
        }


def diff(first: nx.DiGraph, second: nx.DiGraph) -> WiringDiff:
    """Returns what two wirings share and what only one of them has.

    Raises:
        WiringError: If either is no wiring.

    Example:
        >>> chain = nx.DiGraph([(0, 1), (1, 2)])
        >>> skip = nx.DiGraph([(0, 1), (1, 2), (0, 2)])
        >>> diff(chain, skip).only_second
        ((0, 2),)
    """
    check(first)
    check(second)
    only_first = tuple(edge for edge in edge_list(first) if edge not in second.edges)
    return WiringDiff(
        nodes=(len(first), len(second)),
        only_first=only_first,
        only_second=tuple(e for e in edge_list(second) if e not in first.edges),
        shared=first.number_of_edges() - len(only_first),
    )
