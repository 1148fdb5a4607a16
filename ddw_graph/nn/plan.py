"""The plan of a stage: a wiring after every check, in the form that a stage runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import networkx as nx

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_one_of
from ddw_graph.wiring import check, computing_nodes, edge_attributes, edge_list

Ends = tuple[int, int]
"""Source and target of an edge."""


@dataclass(frozen=True)
class StagePlan:
    """A checked wiring with the decisions that turn it into a stage.

    Args:
        nodes: N, the input and the output node included.
        computing: The nodes that compute, ascending; input, output and identity nodes
            are left out.
        edges: All edges ``(source, target)``, sorted: the order of edges everywhere.
        successors: For each node, the targets of its output edges, ascending.
        predecessors: For each node, the sources of its input edges, ascending.
        constants: The edges whose multiplier is a constant of the plan; among a node's
            output edges they come last, among its input edges first.
        transition: Where width and stride change.
        output: How the output node gathers.
        channel_axis: The features' axis of channels, 1 or -1.
        weights: The attribute ``weight`` of each edge, 1 where an edge has none; None
            where no edge has one.
    """

    nodes: int
    computing: tuple[int, ...]
    edges: tuple[Ends, ...]
    successors: tuple[tuple[int, ...], ...]
    predecessors: tuple[tuple[int, ...], ...]
    constants: dict[Ends, float]
    transition: str
    output: str
    channel_axis: int = 1
    weights: tuple[float, ...] | None = None

    @property
    def start(self) -> dict[Ends, float]:
        """The attribute ``weight`` of each edge in the DAG, 1 where it has none."""
        weights = self.weights or (1.0,) * len(self.edges)
        return dict(zip(self.edges, weights, strict=True))

    @property
    def ends(self) -> tuple[list[int], list[int]]:
        """Sources and targets of ``edges``, to index an adjacency with."""
        return [i for i, _ in self.edges], [j for _, j in self.edges]

    @property
    def constant(self) -> tuple[bool, ...]:
        """For each edge whether its multiplier is a constant of the plan."""
        return tuple(edge in self.constants for edge in self.edges)

    def weighted(self, node: int) -> tuple[int, ...]:
        """The targets of a node's output edges that carry weights."""
        targets = self.successors[node]
        return tuple(j for j in targets if (node, j) not in self.constants)

    def weighted_sources(self, node: int) -> tuple[int, ...]:
        """The sources of a node's input edges that carry weights."""
        sources = self.predecessors[node]
        return tuple(i for i in sources if (i, node) not in self.constants)

    @property
    def weighted_edges(self) -> tuple[Ends, ...]:
        """The edges that carry weights, sorted: the order of weights everywhere."""
        return tuple(edge for edge in self.edges if edge not in self.constants)

    def places_of(self, edges: Iterable[Ends]) -> list[int]:
        """Where the weights of some edges stand among all weights, ascending."""
        wanted = set(edges)
        return [k for k, edge in enumerate(self.weighted_edges) if edge in wanted]

    @property
    def weighted_places(self) -> tuple[slice, ...]:
        """For each node, where its weights stand among all weights of the stage."""
        fan_out = [len(self.weighted(node)) for node in range(self.nodes)]
        ends = accumulate(fan_out)
        return tuple(slice(e - f, e) for e, f in zip(ends, fan_out, strict=True))

    def takes_transition(self, node: int) -> bool:
        """Whether a node's operation reads the stage's input as it came."""
        if self.transition == "input":
            return node == self.computing[0] == 1
        return node in self.successors[0] and node in self.computing

    @property
    def projects(self) -> bool:
        """Whether the input node feeds a node that does not make the transition."""
        return any(not self.takes_transition(node) for node in self.successors[0])


def plan(
    dag: nx.DiGraph,
    *,
    transition: str | None = None,
    output: str | None = None,
    channel_axis: int = 1,
) -> StagePlan:
    """Returns the plan that runs a wiring.

    Both choices are RandWire's where the DAG has RandWire's form and DDW's elsewhere.
    ``sources``: the nodes that the input feeds change width and stride; they must have
    no other input. ``input``: the first node does, and every other node that the input
    feeds gets a strided 1x1 projection, as identity nodes always do. ``mean``: the
    output node averages, and inner edges alone are weighted; the nodes that it gathers
    must feed nothing else for this to be the default. ``sum``: every edge is weighted.

    Args:
        dag: A wiring.
        transition: Where width and stride change; by default as the DAG allows.
        output: How the output node gathers; by default as the DAG's form has it.
        channel_axis: The features' axis of channels: 1 for ``(batch, channels, height,
            width)``, -1 for ``(batch, tokens, channels)`` and images with their
            channels last.

    Example:
        >>> from ddw_graph.generators import complete
        >>> plan(complete(2)).predecessors[3]
        (0, 1, 2)

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3 (``sources``, ``mean``); DDW,
        section 3.1 (``input``, ``sum``).
    """
    weights = edge_attributes(check(dag))
    last = len(dag) - 1
    edges = edge_list(dag)
    successors = tuple(tuple(sorted(dag.succ[i])) for i in range(last + 1))
    predecessors = tuple(tuple(sorted(dag.pred[j])) for j in range(last + 1))
    gathered = predecessors[last]
    mixed = next(
        (j for j in successors[0] if len(predecessors[j]) > 1 or j == last), None
    )
    if transition is None:
        transition = "sources" if mixed is None else "input"
    if output is None:
        sinks_alone = all(successors[i] == (last,) for i in gathered)
        output = "mean" if sinks_alone else "sum"
    check_one_of("transition", transition, ("sources", "input"))
    check_one_of("output", output, ("sum", "mean"))
    check_one_of("channel_axis", channel_axis, (1, -1))
    if transition == "sources" and mixed is not None:
        inputs = ", ".join(map(str, predecessors[mixed]))
        what = "the output node" if mixed == last else f"node {mixed}"
        raise ModelError(
            "transition 'sources' needs every node that the input feeds to compute and "
            f"to have no other input, got {what} with the inputs {inputs}; "
            "transition 'input' takes any DAG"
        )
    constants = {
        (i, j): (1 / len(gathered) if j == last else 1.0)
        * dag.edges[i, j].get("weight", 1)
        for i, j in edges
        if output == "mean" and (i == 0 or j == last)
    }
    return StagePlan(
        last + 1,
        tuple(computing_nodes(dag)),
        tuple(edges),
        successors,
        predecessors,
        constants,
        transition,
        output,
        channel_axis,
        weights,
    )
