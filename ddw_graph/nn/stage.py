"""A stage: one wiring compiled to a module."""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from typing import Literal, NamedTuple, overload

import networkx as nx
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ddw_graph.errors import ModelError
from ddw_graph.nn.aggregation import (
    Signal,
    drop_one_input,
    fanned_out,
    gathered,
    multipliers,
    uses_reference,
)
from ddw_graph.nn.arguments import check_integers, check_share
from ddw_graph.nn.edge_weights import edge_weights
from ddw_graph.nn.edges import Edges, Fixed, edge_settings, edge_text
from ddw_graph.nn.gates import keep_strongest, masked
from ddw_graph.nn.index import Index, traces
from ddw_graph.nn.normalisation import signal_of, still
from ddw_graph.nn.operations import Operation, operation_named, projection_1x1
from ddw_graph.nn.plan import plan
from ddw_graph.nn.skipping import alive_samples, applied

Features = Float[Tensor, "batch channels height width"]
Adjacency = Float[Tensor, "batch nodes nodes"]


class Edge(NamedTuple):
    """What goes along an edge.

    Args:
        signal: What its source emits; None where it is not read.
        weight: Its multiplier; a row a sample, or one row for all.
        is_open: For which samples it is open; None for all of them.
    """

    signal: Signal | None
    weight: Float[Tensor, "rows 1"]
    is_open: Bool[Tensor, "rows 1"] | None


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

    skips: bool | None = None
    """Whether what is closed is skipped at inference; None: where features are on the
    CPU. Asking a GPU what is closed makes the processor wait for it."""
    recompute: bool = False
    """Whether training keeps the stage's input alone and computes the rest again for
    the backward pass, which saves memory and takes time. Not within ``torch.compile``,
    which chooses by itself what to keep."""

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
        check_integers(in_channels=in_channels, channels=channels, stride=stride)
        check_share("drop_path", drop_path)
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
        # The target and the source of each edge, in the order of the nodes' inputs.
        ends = [
            (j, i) for j, heard in enumerate(self.plan.predecessors) for i, _ in heard
        ]
        self.targets, self.sources = (Index(nodes) for nodes in zip(*ends, strict=True))

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
        if self.recompute and torch.is_grad_enabled() and not uses_reference(x):
            result: Tensor | tuple[Tensor, Tensor] = checkpoint(
                self._run,
                x,
                adjacency,
                return_adjacency,
                use_reentrant=False,
                context_fn=lambda: (nullcontext(), still(self)),
            )
            return result
        return self._run(x, adjacency, return_adjacency)

    def _run(
        self, x: Tensor, adjacency: Tensor | None, return_adjacency: bool
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Returns what ``forward`` does."""
        if self.entrance is not None:
            x = self.entrance(x)
        if adjacency is not None:
            adjacency = adjacency.to(x.device)
            self._check_adjacency(adjacency, x)
        plan, last = self.plan, self.plan.nodes - 1
        skips = self._skips(x)
        plain = adjacency is None and isinstance(self.edges, Fixed)
        sent: list[Sequence[Edge]] = []  # for each node, its output edges
        effective: list[Tensor] = []
        signal: Signal | None = Signal(x)
        if self.projection is not None:
            signal = signal_of(self.projection, x)
        total: Tensor | None = None
        for node, heard in enumerate(plan.predecessors):
            edges = [sent[i][slot] for i, slot in heard]
            for i in plan.last_heard[node]:
                sent[i] = ()  # nobody reads on
            alive = _alive(edges)
            if node:
                keep = self._kept(node, edges, x)
                total = self._total(node, edges, keep, plain)
                if return_adjacency:
                    effective.append(multipliers(_row(edges), keep))
            del edges
            if 0 < node < last:
                signal = None
                if total is not None:
                    samples = alive_samples(alive, len(x)) if skips else None
                    signal = applied(self.operations[node - 1], total, samples)
                total = None  # before memory for the next is asked for
            if node < last:
                sent.append(self._sent(node, x, signal, alive, adjacency, skips))
        if total is None:
            # Its own weights leave a path open; the caller's may close them all.
            height, width = (-(-size // self.stride) for size in x.shape[2:])
            total = x.new_zeros(x.shape[0], self.channels, height, width)
        y = total if self.exit is None else self.exit(total)
        if not return_adjacency:
            return y
        values = torch.cat(_same_rows(effective), dim=1)
        nodes = plan.nodes
        result = values.new_zeros(x.shape[0], nodes, nodes)
        result[:, self.targets.on(x.device), self.sources.on(x.device)] = values
        return y, result

    def _skips(self, x: Tensor) -> bool:
        """Returns whether what is closed is skipped now."""
        if self.training or torch.is_grad_enabled() or uses_reference(x) or traces():
            return False
        if type(x) is not Tensor:  # a fake tensor, say, has no values to ask for
            return False
        return x.device.type == "cpu" if self.skips is None else self.skips

    def _kept(self, node: int, edges: Sequence[Edge], x: Tensor) -> Tensor | None:
        """Returns which edges of a node DropPath leaves; None for all of them."""
        computes = node < self.plan.nodes - 1
        if self.training and self.drop_path and computes and len(edges) > 1:
            return drop_one_input(_row(edges), len(x), self.drop_path)
        return None

    def _total(
        self, node: int, edges: Sequence[Edge], keep: Tensor | None, plain: bool
    ) -> Tensor | None:
        """Returns what a node hears, summed; None where every edge is closed."""
        read = [edge for edge in edges if edge.signal is not None]
        if not read:
            return None
        signals = [edge.signal for edge in read if edge.signal is not None]
        (source, _), *others = self.plan.predecessors[node]
        alone = not others and len(self.plan.successors[source]) == 1
        if plain and source and alone and not torch.is_grad_enabled():
            # Nobody else reads it. With gradients the source's backward pass may, and
            # the next operation may work in place.
            return signals[0].made()
        return gathered(signals, _row(read), keep=keep)

    def _sent(
        self,
        node: int,
        x: Tensor,
        signal: Signal | None,
        alive: Tensor | None,
        adjacency: Tensor | None,
        skips: bool,
    ) -> Sequence[Edge]:
        """Returns the output edges of a node; one without a signal is dead."""
        fan_out = len(self.plan.successors[node])
        if signal is None:
            closed = torch.zeros(1, 1, dtype=torch.bool, device=x.device)
            return [Edge(None, x.new_zeros(1, 1), closed)] * fan_out
        weights, is_open = self._output_weights(node, signal, alive, adjacency, skips)
        signals = [*fanned_out(signal, weights, fan_out)]
        if node == 0 and self.projection is not None:
            # Node 1 takes the input as it came.
            signals[0] = fanned_out(Signal(x), weights[:, :1], 1)[0]
        columns = weights.tensor_split(fan_out, dim=1)
        if is_open is None:
            return [Edge(s, w, None) for s, w in zip(signals, columns, strict=True)]
        read = is_open.any(0).tolist() if skips else [True] * fan_out
        by_edge = zip(
            signals, columns, is_open.tensor_split(fan_out, dim=1), read, strict=True
        )
        return [Edge(s if r else None, w, o) for s, w, o, r in by_edge]

    def _output_weights(
        self,
        node: int,
        signal: Signal,
        alive: Tensor | None,
        adjacency: Tensor | None,
        skips: bool,
    ) -> tuple[Tensor, Tensor | None]:
        """Returns a node's effective output weights, and which edges are open.

        None where every edge is open for every sample.
        """
        is_open: Tensor | None
        if adjacency is not None:
            weights = adjacency[:, self.plan.successors[node], node].to(signal.x.dtype)
            is_open = weights != 0
            if skips and is_open.all():
                is_open = None
        else:
            weights, is_open = self.weights(node, signal)
            if skips and is_open is not None and is_open.all():
                is_open = None  # spares what follows for closed edges
            if self.plan.constants[node]:
                # Filled on the device: a tensor made from a list would be copied there.
                constant = [
                    weights.new_full((weights.shape[0], 1), value)
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

    def _check_adjacency(self, adjacency: Tensor, x: Tensor) -> None:
        nodes, batch = self.plan.nodes, x.shape[0]
        if adjacency.shape not in ((batch, nodes, nodes), (1, nodes, nodes)):
            raise ModelError(
                f"adjacency must have the shape ({batch}, {nodes}, {nodes}) or "
                f"(1, {nodes}, {nodes}), got {tuple(adjacency.shape)}"
            )
        if traces() or adjacency.is_meta:
            return  # What follows reads values, which a traced graph does not have.
        edges = torch.zeros(nodes, nodes, dtype=torch.bool, device=adjacency.device)
        device = adjacency.device
        edges[self.targets.on(device), self.sources.on(device)] = True
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


def _row(edges: Sequence[Edge]) -> Tensor:
    """Returns the weights of a node's input edges."""
    if len(edges) == 1:
        return edges[0].weight
    return torch.cat(_same_rows([edge.weight for edge in edges]), dim=1)


def _same_rows(weights: list[Tensor]) -> list[Tensor]:
    """Returns weights with a row a sample each where one of them has that."""
    rows = max(weight.shape[0] for weight in weights)
    if all(weight.shape[0] == rows for weight in weights):
        return weights
    return [weight.expand(rows, -1) for weight in weights]


def _alive(edges: Sequence[Edge]) -> Bool[Tensor, "rows 1"] | None:
    """Returns for which samples some edge is open; None where that is sure."""
    columns = [edge.is_open for edge in edges if edge.is_open is not None]
    if not edges or len(columns) < len(edges):
        return None
    return torch.cat(_same_rows(columns), dim=1).any(1, keepdim=True)
