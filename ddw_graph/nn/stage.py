"""A stage: one wiring compiled to a module."""

from collections.abc import Iterable
from typing import Literal, overload

import networkx as nx
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.aggregation import drop_one_input, weighted_sum
from ddw_graph.nn.edge_weights import edge_weights
from ddw_graph.nn.edges import Edges, edge_settings, edge_text
from ddw_graph.nn.gates import keep_strongest, masked
from ddw_graph.nn.operations import Operation, operation_named, projection_1x1
from ddw_graph.nn.plan import plan

Features = Float[Tensor, "batch channels height width"]
Adjacency = Float[Tensor, "batch nodes nodes"]


class Stage(nn.Module):
    """Runs a wiring: each node sums what it hears, computes, and weighs its outputs.

    Static and dynamic wirings run through the same lines; the kind of edges decides
    the weights alone. A node that hears no open edge is dead: it emits 0 and closes
    its output edges, sample by sample. A node that is alive keeps its strongest output
    edge, so some path reaches the output for every sample. In training what a dead node
    computes still enters its BN's batch statistics: that skipping equals masking holds
    in evaluation.

    Args:
        dag: The wiring, N nodes.
        in_channels: Width of the input.
        channels: Width of every node and of the output.
        stride: Stride of the transition at the stage's entrance.
        operation: What a node computes: a name from ``OPERATIONS``, or a callable
            ``(in_channels, out_channels, stride) -> nn.Module``.
        edges: ``fixed``, ``learned``, ``dynamic``, or their settings.
        transition: Where width and stride change; see ``plan``.
        output: How the output node gathers; see ``plan``.
        drop_path: Probability that, in training, a sample loses one input of a node
            that computes and hears more than one.
        projection: Makes what carries the input to the nodes that do not make the
            transition; called as ``operation`` is, where there is such a node and width
            or stride change. By default a 1x1 convolution and BN.
        entrance: Runs before the input node; its output is what ``in_channels`` counts.
        exit: Runs on what the output node gathered.
        neutral: Edges that weigh 1 at the start while all others weigh 0; see
            ``ddw_graph.nn.edge_weights.NeutralStart``. By default every edge starts as
            its settings say.

    Shapes:
        - x: ``(batch, in_channels, height, width)``, or what the entrance takes
        - output: ``(batch, channels, height / stride, width / stride)``, rounded up
        - adjacency: ``(batch, N, N)``; ``[b, j, i]`` multiplies edge ``i -> j``

    Raises:
        WiringError: If ``dag`` is no wiring.
        ModelError: If a setting is out of range, or the DAG does not allow it.

    Example:
        >>> from ddw_graph.generators import complete
        >>> stage = Stage(complete(3), 8, 16, stride=2, edges="dynamic")
        >>> y, adjacency = stage(torch.zeros(2, 8, 12, 12), return_adjacency=True)
        >>> y.shape, adjacency.shape
        (torch.Size([2, 16, 6, 6]), torch.Size([2, 5, 5]))

    Source:
        DDW, section 3; Xie et al. 2019, arXiv:1904.01569, section 3.
    """

    places: Tensor

    def __init__(
        self,
        dag: nx.DiGraph,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        operation: str | Operation = "sepconv",
        edges: str | Edges = "dynamic",
        transition: str | None = None,
        output: str | None = None,
        drop_path: float = 0.0,
        projection: Operation | None = None,
        entrance: nn.Module | None = None,
        exit: nn.Module | None = None,
        neutral: Iterable[tuple[int, int]] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("in_channels", in_channels),
            ("channels", channels),
            ("stride", stride),
        ):
            if value < 1:
                raise ModelError(f"{name} must be at least 1, got {value}")
        if not 0 <= drop_path <= 1:
            raise ModelError(f"drop_path must be in [0, 1], got {drop_path}")
        self.plan = plan(dag, transition=transition, output=output)
        # A copy, frozen: what runs was compiled from it and could not follow a change.
        self.dag = nx.freeze(dag.copy())
        self.edges = edge_settings(edges)
        self.in_channels, self.channels, self.stride = in_channels, channels, stride
        self.drop_path = drop_path
        self.entrance = entrance
        self.exit = exit
        make = operation_named(operation)
        changes = in_channels != channels or stride != 1
        self.operations = nn.ModuleList(
            make(in_channels, channels, stride)
            if self.plan.takes_transition(node)
            else make(channels, channels, 1)
            for node in range(1, self.plan.nodes - 1)
        )
        self.projection = (
            (projection or projection_1x1)(in_channels, channels, stride)
            if changes and self.plan.projects
            else None
        )
        read = [channels] * self.plan.nodes
        if self.projection is None:
            read[0] = in_channels
        self.weights = edge_weights(self.plan, read, self.edges, neutral)
        # Where each edge, in the order of a node's inputs, stands in an adjacency.
        places = [
            (j, i) for j, heard in enumerate(self.plan.predecessors) for i, _ in heard
        ]
        self.register_buffer("places", torch.tensor(places).T, persistent=False)

    @overload
    def forward(
        self,
        x: Features,
        *,
        adjacency: Tensor | None = ...,
        return_adjacency: Literal[False] = ...,
    ) -> Tensor: ...

    @overload
    def forward(
        self,
        x: Features,
        *,
        adjacency: Tensor | None = ...,
        return_adjacency: Literal[True],
    ) -> tuple[Tensor, Tensor]: ...

    def forward(
        self,
        x: Features,
        *,
        adjacency: Tensor | None = None,
        return_adjacency: bool = False,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the stage's output, with the adjacency where it is asked for.

        Args:
            x: Features of the stage before.
            adjacency: Multipliers of the caller's choosing, ``(batch, N, N)`` or
                ``(1, N, N)``: they take the place of the stage's weights, and an edge
                at 0 is closed.
            return_adjacency: Whether to return the effective multipliers too.

        Raises:
            ModelError: If ``adjacency`` has another shape, is not finite, or is not 0
                where the wiring has no edge.
        """
        if self.entrance is not None:
            x = self.entrance(x)
        if adjacency is not None:
            adjacency = adjacency.to(x.device)
            self._check_adjacency(adjacency, len(x))
        emitted: list[Tensor | None] = []
        weights: list[Tensor] = []
        is_open: list[Tensor | None] = []
        effective: list[Tensor] = []
        last = self.plan.nodes - 1
        for node, heard in enumerate(self.plan.predecessors):
            alive: Tensor | None = None
            if node == 0:
                y = x if self.projection is None else self.projection(x)
            else:
                row = torch.cat(
                    _same_rows([weights[i][:, slot : slot + 1] for i, slot in heard]),
                    dim=1,
                )
                alive = _any_open([(is_open[i], slot) for i, slot in heard])
                if self.training and self.drop_path and len(heard) > 1 and node < last:
                    row = drop_one_input(row, len(x), self.drop_path)
                effective.append(row)
                # Node 1 hears the input alone, and takes it as it came.
                inputs = [x if node == 1 else emitted[i] for i, _ in heard]
                y = weighted_sum([each for each in inputs if each is not None], row)
                for i in self.plan.last_heard[node]:
                    emitted[i] = None  # nobody reads on
                if node < last:
                    y = self.operations[node - 1](y)
            emitted.append(y)
            if node < last:
                weight, opened = self._output_weights(node, y, alive, adjacency)
                weights.append(weight)
                is_open.append(opened)
        if self.exit is not None:
            y = self.exit(y)
        if not return_adjacency:
            return y
        values = torch.cat(_same_rows(effective), dim=1)
        nodes = self.plan.nodes
        result = values.new_zeros(len(x), nodes, nodes)
        result[:, self.places[0], self.places[1]] = values
        return y, result

    def _output_weights(
        self, node: int, y: Tensor, alive: Tensor | None, adjacency: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Returns a node's effective output weights, and which edges are open.

        None where every edge is open for every sample.
        """
        is_open: Tensor | None
        if adjacency is not None:
            weights = adjacency[:, self.plan.successors[node], node].to(y.dtype)
            is_open = weights != 0
        else:
            weights, is_open = self.weights(node, y)
            if self.plan.constants[node]:
                # Filled on the device: a tensor made from a list would be copied there.
                constant = [
                    weights.new_full((len(weights), 1), value)
                    for value in self.plan.constants[node]
                ]
                weights = torch.cat((weights, *constant), dim=1)
                if is_open is not None:
                    opened = [torch.ones_like(is_open[:, :1]) for _ in constant]
                    is_open = torch.cat((is_open, *opened), dim=1)
            if is_open is not None:
                is_open = keep_strongest(weights, is_open)
                weights = masked(weights, is_open, straight_through=self.training)
        if alive is not None:
            weights = weights * alive
            is_open = (
                alive.expand(-1, weights.shape[1])
                if is_open is None
                else is_open & alive
            )
        return weights, is_open

    def _check_adjacency(self, adjacency: Tensor, batch: int) -> None:
        nodes = self.plan.nodes
        if adjacency.shape not in ((batch, nodes, nodes), (1, nodes, nodes)):
            raise ModelError(
                f"adjacency must have the shape ({batch}, {nodes}, {nodes}) or "
                f"(1, {nodes}, {nodes}), got {tuple(adjacency.shape)}"
            )
        if torch.compiler.is_compiling() or adjacency.is_meta:
            return  # What follows reads values, which a traced graph does not have.
        edges = torch.zeros(nodes, nodes, dtype=torch.bool, device=adjacency.device)
        edges[self.places[0], self.places[1]] = True
        wrong = (adjacency * ~edges != 0) | ~adjacency.isfinite()
        if wrong.any():
            sample, j, i = wrong.nonzero()[0].tolist()
            value = adjacency[sample, j, i].item()
            raise ModelError(
                "adjacency must be finite, and 0 where the wiring has no edge, got "
                f"{value:g} for {i} -> {j} of sample {sample}"
            )

    def extra_repr(self) -> str:
        """Returns the size of the wiring and the choices of the stage."""
        return (
            f"nodes={self.plan.nodes}, edges={self.dag.number_of_edges()}, "
            f"weights={edge_text(self.edges)!r}, transition={self.plan.transition!r}, "
            f"output={self.plan.output!r}, drop_path={self.drop_path}"
        )


def _same_rows(weights: list[Tensor]) -> list[Tensor]:
    """Returns weights with a row a sample each where one of them has that."""
    rows = max(len(weight) for weight in weights)
    return [weight.expand(rows, -1) for weight in weights]


def _any_open(
    inputs: list[tuple[Tensor | None, int]],
) -> Bool[Tensor, "rows 1"] | None:
    """Returns for which samples some input is open; None where that is sure."""
    columns = []
    for is_open, slot in inputs:
        if is_open is None:
            return None
        columns.append(is_open[:, slot : slot + 1])
    return torch.cat(_same_rows(columns), dim=1).any(1, keepdim=True)
