"""The plan of a stage: a wiring after every check, in the form that a stage runs."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

import networkx as nx

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_one_of
from ddw_graph.wiring import check, computing_nodes, edge_attributes

TRANSITIONS = ("sources", "input")
OUTPUTS = ("sum", "mean")


@dataclass(frozen=True)
class StagePlan:
    """A checked wiring with the decisions that turn it into a stage.

    Args:
        nodes: N, the input and the output node included.
        computing: The nodes that compute, ascending; input, output and identity nodes
            are left out.
        successors: For each node, the nodes that it feeds, ascending.
        predecessors: For each node, a pair for each of its inputs, ascending: the
            source, and the place of this edge among the source's output edges.
        constants: For each node, the constant multipliers of its last output edges;
            the output edges before them carry weights.
        last_read: For each node, the nodes that no later node reads.
        transition: Where width and stride change.
        output: How the output node gathers.
        channel_axis: The features' axis of channels, 1 or -1.
        weights: The attribute ``weight`` of each edge, 1 where an edge has none; None
            where no edge has one.
    """

    nodes: int
    computing: tuple[int, ...]
    successors: tuple[tuple[int, ...], ...]
    predecessors: tuple[tuple[tuple[int, int], ...], ...]
    constants: tuple[tuple[float, ...], ...]
    last_read: tuple[tuple[int, ...], ...]
    transition: str
    output: str
    channel_axis: int = 1
    weights: tuple[float, ...] | None = None

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """All edges ``(source, target)``, sorted: the order of edges everywhere."""
        return tuple(
            (source, target)
            for source, targets in enumerate(self.successors)
            for target in targets
        )

    @property
    def start(self) -> dict[tuple[int, int], float]:
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
        return tuple(
            place >= len(targets) - len(constants)
            for targets, constants in zip(self.successors, self.constants, strict=True)
            for place in range(len(targets))
        )

    def weighted(self, node: int) -> tuple[int, ...]:
        """The targets of a node's output edges that carry weights."""
        targets = self.successors[node]
        return targets[: len(targets) - len(self.constants[node])]

    def weighted_sources(self, node: int) -> tuple[int, ...]:
        """The sources of a node's input edges that carry weights."""
        return tuple(
            i for i, place in self.predecessors[node] if place < len(self.weighted(i))
        )

    @property
    def weighted_edges(self) -> tuple[tuple[int, int], ...]:
        """The edges that carry weights, sorted."""
        return tuple((i, j) for i in range(self.nodes) for j in self.weighted(i))

    def places_of(self, edges: Iterable[tuple[int, int]]) -> list[int]:
        """Where the weights of some edges stand among all weights, ascending."""
        wanted = set(edges)
        return [k for k, edge in enumerate(self.weighted_edges) if edge in wanted]

    def input_places(self, node: int) -> list[int]:
        """Where the weights of a node's inputs stand among all weights."""
        return self.places_of((i, node) for i in self.weighted_sources(node))

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
        ((0, 2), (1, 1), (2, 0))

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3 (``sources``, ``mean``); DDW,
        section 3.1 (``input``, ``sum``).
    """
    weights = edge_attributes(check(dag))
    nodes = dag.number_of_nodes()
    last = nodes - 1
    successors = tuple(tuple(sorted(dag.successors(i))) for i in range(nodes))
    place = {
        (i, j): slot
        for i, targets in enumerate(successors)
        for slot, j in enumerate(targets)
    }
    predecessors = tuple(
        tuple((i, place[i, j]) for i in sorted(dag.predecessors(j)))
        for j in range(nodes)
    )
    gathered = [i for i, _ in predecessors[last]]
    mixed = next(
        (j for j in successors[0] if len(predecessors[j]) > 1 or j == last), None
    )
    if transition is None:
        transition = "sources" if mixed is None else "input"
    if output is None:
        sinks_alone = all(successors[i] == (last,) for i in gathered)
        output = "mean" if sinks_alone else "sum"
    check_one_of("transition", transition, TRANSITIONS)
    check_one_of("output", output, OUTPUTS)
    check_one_of("channel_axis", channel_axis, (1, -1))
    if transition == "sources" and mixed is not None:
        inputs = ", ".join(str(i) for i, _ in predecessors[mixed])
        what = "the output node" if mixed == last else f"node {mixed}"
        raise ModelError(
            "transition 'sources' needs every node that the input feeds to compute and "
            f"to have no other input, got {what} with the inputs {inputs}; "
            "transition 'input' takes any DAG"
        )
    constants = tuple(
        tuple(
            (1 / len(gathered) if j == last else 1.0) * dag.edges[i, j].get("weight", 1)
            for j in targets
            if output == "mean" and (i == 0 or j == last)
        )
        for i, targets in enumerate(successors)
    )
    last_read = tuple(
        tuple(i for i, _ in inputs if successors[i][-1] == node)
        for node, inputs in enumerate(predecessors)
    )
    return StagePlan(
        nodes,
        tuple(computing_nodes(dag)),
        successors,
        predecessors,
        constants,
        last_read,
        transition,
        output,
        channel_axis,
        weights,
    )
