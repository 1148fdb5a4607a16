"""A stage: one wiring compiled to a module."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as ConvNd

from ddw_graph.errors import ModelError
from ddw_graph.nn.aggregation import (
    Edge,
    alive,
    drop_one_input,
    gather,
    of_rank,
    stacked,
)
from ddw_graph.nn.arguments import check_integers, check_share
from ddw_graph.nn.checks import check_adjacency, check_features, check_weights
from ddw_graph.nn.constant import Constant, traces
from ddw_graph.nn.edge_weights import Edges, EdgeWeights
from ddw_graph.nn.edges import edge_settings, edge_text
from ddw_graph.nn.features import Features
from ddw_graph.nn.gates import keep_strongest, masked
from ddw_graph.nn.operations import (
    Operation,
    OperationLike,
    operations_of,
    projection_1x1,
)
from ddw_graph.nn.plan import Ends, plan
from ddw_graph.nn.recomputing import recomputed
from ddw_graph.nn.skipping import alive_samples, computed


class Stage(nn.Module):
    """Runs a wiring: each node sums its inputs, computes, and weighs its outputs.

    Static and dynamic wirings run through the same lines; only the edge weights differ.
    A node without an open input is dead: it emits 0 and closes its output edges, sample
    by sample. A node that is alive keeps its strongest output edge, so some path
    reaches the output for every sample. In training what a dead node computes still
    enters its BN's batch statistics: that skipping equals masking holds in evaluation.

    Args:
        dag: The wiring, N nodes. An attribute ``weight`` of an edge is what it weighs
            if fixed, and where it starts if not.
        in_channels: Width of the input.
        channels: Width of every node and of the output.
        stride: Stride of the transition at the stage's entrance.
        operation: What a node computes: a name from ``OPERATIONS``, or a callable
            ``(in_channels, out_channels, stride) -> nn.Module``; a list with one for
            each node that computes, modules among them; or a function of ``node``.
            Identity nodes compute nothing: they emit the weighted sum of their inputs.
        edges: A kind of edge weights: a name from ``KINDS`` with settings after a
            colon, settings such as ``Dynamic(bias=0)``, or your own callable
            ``(plan, channels) -> EdgeWeights``, where ``channels`` has the width of
            what each node emits.
        transition: Where width and stride change; see ``plan``.
        output: How the output node gathers; see ``plan``.
        channel_axis: The features' axis of channels: 1 for images, -1 for tokens and
            for images with their channels last.
        drop_path: Probability that, in training, a sample loses one input of a node
            that computes and has more than one.
        projection: Makes what carries the input to the nodes that do not make the
            transition; called as an operation is, where there is such a node and width
            or stride change. By default a 1x1 convolution and BN.
        entrance: Runs before the input node; its output is what ``in_channels`` counts.
        exit: Runs on what the output node gathered.
        neutral: Edges that weigh 1 at the start while all others weigh 0; see
            ``EdgeWeights.neutral``. By default every edge starts as its kind says.

    Shapes:
        - x: ``(batch, in_channels, height, width)`` or, with ``channel_axis=-1``,
          ``(batch, tokens, in_channels)``; any number of positions; or what the
          entrance takes
        - output: the same with ``channels``, and positions / stride, rounded up
        - adjacency: ``(batch, N, N)``; ``[b, j, i]`` multiplies edge ``i -> j``. Behind
          come the axes of the features after the batch if weights differ along them.

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

    label = "the stage"
    """What errors call it; a network counts its stages."""
    skips: bool | None = None
    """Whether what is closed is skipped at inference; None: where features are on the
    CPU. Asking a GPU what is closed makes the processor wait for it."""
    recompute: bool = False
    """Whether training keeps only what each node computes, and computes again for the
    backward pass what leads there (activation checkpointing), which saves memory and
    takes time. Operations must compute the same twice. Not within ``torch.compile``,
    which chooses on its own what to keep."""

    def __init__(
        self,
        dag: nx.DiGraph,
        in_channels: int,
        channels: int,
        *,
        stride: int = 1,
        operation: OperationLike = "sepconv",
        edges: str | Edges = "dynamic",
        transition: str | None = None,
        output: str | None = None,
        channel_axis: int = 1,
        drop_path: float = 0.0,
        projection: Operation | None = None,
        entrance: nn.Module | None = None,
        exit: nn.Module | None = None,
        neutral: Iterable[Ends] | None = None,
    ) -> None:
        super().__init__()
        check_integers(in_channels=in_channels, channels=channels, stride=stride)
        check_share("drop_path", drop_path)
        self.plan = plan(
            dag, transition=transition, output=output, channel_axis=channel_axis
        )
        # A copy, frozen: what runs was compiled from it and could not follow a change.
        self.dag = nx.freeze(dag.copy())
        self.in_channels, self.channels, self.stride = in_channels, channels, stride
        self.drop_path = drop_path
        self.entrance, self.exit = entrance, exit
        self.changes = in_channels != channels or stride != 1
        if channel_axis == -1 and (
            self.changes and self.plan.projects and projection is None
        ):
            raise ModelError(
                "the default projection is for images with channel_axis=1: with "
                "channel_axis=-1 and a change of width or stride give projection="
            )
        makers = operations_of(operation, self.plan)
        # Where the operation of each node that computes stands among them.
        self.places = {node: place for place, node in enumerate(self.plan.computing)}
        self.operations = nn.ModuleList(
            make(in_channels, channels, stride)
            if self.plan.takes_transition(node)
            else make(channels, channels, 1)
            for node, make in zip(self.plan.computing, makers, strict=True)
        )
        self.projection = (
            (projection or projection_1x1)(in_channels, channels, stride)
            if self.changes and self.plan.projects
            else None
        )
        modules = self.operations.modules()
        convolution = next((m for m in modules if isinstance(m, ConvNd)), None)
        self.rank = None  # any
        if convolution is not None and channel_axis == 1:
            # Convolutions accept input without a batch axis.
            self.rank = len(convolution.kernel_size) + 2
        self.weigh(edges, neutral)
        self.sources, self.targets = map(Constant, self.plan.ends)
        self.constants = Constant([*self.plan.constants.values()])

    def weigh(self, edges: str | Edges, neutral: Iterable[Ends] | None = None) -> None:
        """Gives the stage new edge weights."""
        self.edges = edge_settings(edges)
        emitted = [self.channels] * self.plan.nodes
        if self.projection is None:
            emitted[0] = self.in_channels
        weights = self.edges(self.plan, emitted)
        if not isinstance(weights, EdgeWeights):
            raise ModelError(
                "edges must return EdgeWeights when called with (plan, channels), got "
                f"{type(weights).__name__}"
            )
        self.neutral = None if neutral is None else sorted(neutral)
        if self.neutral is not None:
            weights.neutral(self.neutral)
        elif self.plan.weights is not None and not weights.uses_dag_weights:
            try:
                weights.neutral(self.plan.weighted_edges)
            except ModelError as error:
                raise ModelError(
                    f"{edge_text(self.edges)} edges start at the attribute weight of "
                    f"the DAG's edges: {error}"
                ) from error
        self.weights = weights

    def forward(
        self,
        x: Features,
        *args: Any,
        adjacency: Tensor | None = None,
        return_adjacency: bool = False,
        **kwargs: Any,
    ) -> Tensor | tuple[Tensor, Tensor]:
        """Returns the stage's output, with the adjacency where it is asked for.

        Args:
            x: Features of the stage before.
            args: What every operation takes besides its features, such as a mask. Then
                nothing is skipped: arguments may be of each sample, or be filled by
                each node, as a cache is.
            adjacency: Multipliers of your choice, in a shape that the stage returns,
                with 1 sample for all where wanted: they take the place of the stage's
                weights, and an edge at 0 is closed.

        Raises:
            ModelError: If features or ``adjacency`` have another shape, or the latter
                is not finite, or not 0 where the wiring has no edge.
        """
        plan = self.plan
        if self.entrance is not None:
            x = self.entrance(x)
        what = f"the input of {self.label}"
        check_features(x, self.in_channels, plan, what, self.rank)
        given = None if adjacency is None else self._given(adjacency, x)
        known = self._known(x) if given is None else {}
        skips = not (args or kwargs) and self._skips(x)
        y: Tensor | None = x
        if self.projection is not None:
            y = recomputed(self.projection, partial(self.projection, x), self.recompute)
        is_alive: Tensor | None = None
        sent: dict[Ends, Edge] = {}  # what is on its way
        effective: dict[Ends, Tensor] = {}
        for node in range(plan.nodes):
            if node:
                ends = [(i, node) for i in plan.predecessors[node]]
                edges = [sent.pop(each) for each in ends]
                if given is None:
                    edges = self._weighed_by_receiver(node, edges)
                if self.training and self.drop_path and node in self.places:
                    edges = drop_one_input(edges, self.drop_path)
                if return_adjacency:
                    weights = [edge.weight for edge in edges]
                    effective |= dict(zip(ends, weights, strict=True))
                is_alive = alive(edges)
                samples = alive_samples(is_alive, len(x)) if skips else None
                y = self._computed(node, edges, samples, args, kwargs)
            if y is None:  # a dead node
                none = x.new_zeros([1] * x.ndim)
                edges = [Edge(None, none, none.bool())] * len(plan.successors[node])
            else:
                edges = self._weighed(node, y, x, known, given, is_alive, skips)
            for j, edge in zip(plan.successors[node], edges, strict=True):
                if not node and self.changes and plan.takes_transition(j):
                    edge = edge.by_sample()._replace(x=x)  # as it came
                sent[node, j] = edge.unless_closed() if skips else edge
        if y is None:
            # Its own weights leave a path open; the caller's may close them all.
            y = self._zeros(x)
        if self.exit is not None:
            y = self.exit(y)
        return (y, self._matrix(effective, x)) if return_adjacency else y

    def _known(self, x: Tensor) -> dict[Ends, Tensor]:
        """Returns the weights that do not depend on features: one for each edge."""
        found: dict[Ends, Tensor] = {}
        shape = -1, *[1] * x.ndim
        row = self.weights.row(x)
        if row is not None:
            columns = row.view(shape).unbind()
            found |= dict(zip(self.plan.weighted_edges, columns, strict=True))
        if self.plan.constants:
            like = next(self.weights.parameters(), x)
            columns = self.constants.on(x.device, like.dtype).view(shape).unbind()
            found |= dict(zip(self.plan.constants, columns, strict=True))
        return found

    def _given(self, adjacency: Tensor, x: Tensor) -> Sequence[Tensor]:
        """Returns the weights of each node's output edges that the caller gives."""
        adjacency = adjacency.to(x.device, x.dtype)
        check_adjacency(adjacency, self.plan, self.label, x)
        target, source = self.targets.on(x.device), self.sources.on(x.device)
        weights = of_rank(adjacency[:, target, source], x.ndim)
        return torch.split(weights, [*map(len, self.plan.successors)], 1)

    def _weighed(
        self,
        node: int,
        y: Tensor,
        x: Tensor,
        known: dict[Ends, Tensor],
        given: Sequence[Tensor] | None,
        is_alive: Tensor | None,
        skips: bool,
    ) -> list[Edge]:
        """Returns the output edges of a node that computed y."""
        ends = [(node, j) for j in self.plan.successors[node]]
        constant = [Edge(y, known[e]).where(is_alive) for e in ends if e in known]
        count = len(ends) - len(constant)
        if not count:
            return constant
        is_open: Tensor | None
        if given is None:
            weights, is_open = self.weights.answer(node, y)
        else:
            weights, is_open = given[node], given[node] != 0
        # Where the stage's input has other positions than those given, the mean counts.
        if given is None or y is not x or not self.changes:
            for each in (weights,) if is_open is None else (weights, is_open):
                check_weights(each, count, y, node, self.label)
        weights = of_rank(weights, y.ndim)
        if is_open is not None:
            is_open = of_rank(is_open.bool(), y.ndim)
            if skips and is_open.all():
                is_open = None  # spares what follows for closed edges
        if is_open is not None and given is None:
            if not constant:  # which are open
                is_open = keep_strongest(weights, is_open)
            weights = masked(weights, is_open, straight_through=self.training)
        if is_alive is not None:
            is_alive = is_alive.unsqueeze(1)
        return [*Edge(y, weights, is_open).where(is_alive).apart(), *constant]

    def _weighed_by_receiver(self, node: int, edges: list[Edge]) -> list[Edge]:
        """Returns a node's input edges with the weights of ``incoming``."""
        # Edges with constant weights come first.
        constant = len(edges) - len(self.plan.weighted_sources(node))
        constants, own = edges[:constant], edges[constant:]
        inputs = [edge.x for edge in own if edge.x is not None]
        if not inputs or not self.weights.weighs_inputs:
            return edges
        weights = self.weights.incoming(node, inputs, stacked([e.weight for e in own]))
        check_weights(weights, len(own), inputs[0], node, self.label)
        columns = of_rank(weights, inputs[0].ndim).unbind(1)
        own = [
            Edge(edge.x, weight).where(edge.is_open)
            for edge, weight in zip(own, columns, strict=True)
        ]
        if self.changes and self.plan.takes_transition(node):
            own = [edge.by_sample() for edge in own]
        return constants + own

    def _computed(
        self,
        node: int,
        edges: Sequence[Edge],
        samples: Tensor | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Tensor | None:
        """Returns what a node makes of its inputs; None where every edge is closed."""
        read = [(edge.x, edge.weight) for edge in edges if edge.x is not None]
        if not read:
            return None
        inputs, weights = zip(*read, strict=True)
        if any(x.shape != inputs[0].shape for x in inputs):
            shapes = ", ".join(str(tuple(x.shape)) for x in inputs)
            raise ModelError(
                f"the inputs of a node must have one shape, got {shapes} for node "
                f"{node} of {self.label}"
            )
        if node not in self.places:
            return gather(inputs, weights)
        operation = self.operations[self.places[node]]

        def compute() -> Tensor:
            return computed(operation, gather(inputs, weights), samples, args, kwargs)

        y = recomputed(operation, compute, self.recompute)
        what = f"what node {node} of {self.label} computes"
        check_features(y, self.channels, self.plan, what, inputs[0].ndim, inputs[0])
        return y

    def _skips(self, x: Tensor) -> bool:
        """Returns whether what is closed is skipped now."""
        if self.training or torch.is_grad_enabled() or traces():
            return False
        # Whoever weighs inputs needs them all. A fake or meta tensor has no values.
        if self.weights.weighs_inputs or type(x) is not Tensor or x.is_meta:
            return False
        return x.device.type == "cpu" if self.skips is None else self.skips

    def _zeros(self, x: Tensor) -> Tensor:
        """Returns an output of zeros."""
        sizes = [-(-size // self.stride) for size in x.shape]
        sizes[0], sizes[self.plan.channel_axis] = x.shape[0], self.channels
        return x.new_zeros(sizes)

    def _matrix(self, weights: dict[Ends, Tensor], x: Tensor) -> Tensor:
        """Returns the weights of all edges as an adjacency."""
        values = stacked([weights[edge] for edge in self.plan.edges])
        if all(size == 1 for size in values.shape[2:]):
            values = values.flatten(1)
        nodes, device = self.plan.nodes, values.device
        result = values.new_zeros(x.shape[0], nodes, nodes, *values.shape[2:])
        result[:, self.targets.on(device), self.sources.on(device)] = values
        return result

    def extra_repr(self) -> str:
        """Returns the arguments that are not modules."""
        plan = self.plan
        given = [
            f"DiGraph({plan.nodes} nodes, {len(plan.edges)} edges)",
            f"{self.in_channels}, {self.channels}, stride={self.stride}",
            f"edges={edge_text(self.edges)!r}, transition={plan.transition!r}",
            f"output={plan.output!r}, channel_axis={plan.channel_axis}",
            f"drop_path={self.drop_path}",
        ]
        return ", ".join(given)
