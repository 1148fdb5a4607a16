"""The modules that weigh edges: constants, parameters, routers."""

from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.aggregation import Signal
from ddw_graph.nn.edges import Dynamic, Edges, Learned
from ddw_graph.nn.gates import gated
from ddw_graph.nn.index import Index
from ddw_graph.nn.plan import StagePlan

Weights = tuple[Float[Tensor, "rows edges"], Bool[Tensor, "rows edges"] | None]


class EdgeWeights(nn.Module):
    """Weighs the output edges of each node of a stage.

    A stage runs the same lines whatever the kind: for each node it asks for the
    weights that the node's weighted output edges have while open, and for which of
    them are open. ``rows`` is the batch, or 1 where all samples share the weights.
    """

    def forward(self, node: int, signal: Signal) -> Weights:
        """Returns the weights of a node's weighted output edges, and which are open."""
        raise NotImplementedError


class FixedWeights(EdgeWeights):
    """Weighs every edge 1."""

    def __init__(self, plan: StagePlan) -> None:
        super().__init__()
        self.fan_out = [len(plan.weighted(node)) for node in range(plan.nodes)]

    def forward(self, node: int, signal: Signal) -> Weights:
        """Returns ones."""
        return signal.x.new_ones(1, self.fan_out[node]), None


class LearnedWeights(EdgeWeights):
    """Weighs each edge by the sigmoid of a parameter of its own."""

    def __init__(self, plan: StagePlan, settings: Learned) -> None:
        super().__init__()
        self.places = plan.weighted_places
        count = self.places[-1].stop
        self.logit = nn.Parameter(torch.full((count,), float(settings.bias)))

    def forward(self, node: int, signal: Signal) -> Weights:
        """Returns the sigmoids of the node's logits, one row for all samples."""
        return self.logit[self.places[node]].sigmoid()[None], None


class Router(nn.Module):
    """Maps a node's features to a value in ``(0, 1)`` for each of its output edges.

    A fully connected layer and a sigmoid behind global average pooling.

    Args:
        channels: Width of the features.
        fan_out: Number of weighted output edges.
        bias: Bias at the start.
        std: Standard deviation of the weights at the start.

    Shapes:
        - pooled: ``(batch, channels)``
        - output: ``(batch, fan_out)``

    Example:
        >>> Router(16, 3)(torch.zeros(2, 16))[0]
        tensor([0.9526, 0.9526, 0.9526], grad_fn=<SelectBackward0>)

    Source:
        DDW, Eq. 4.
    """

    def __init__(
        self, channels: int, fan_out: int, *, bias: float = 3.0, std: float = 0.01
    ) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, fan_out)
        nn.init.normal_(self.linear.weight, std=std)
        nn.init.constant_(self.linear.bias, bias)

    def forward(
        self, pooled: Float[Tensor, "batch channels"]
    ) -> Float[Tensor, "batch fan_out"]:
        """Returns the values of the output edges, for each sample."""
        # Never in autocast's precision: thresholds cut where values lie close together.
        linear = self.linear
        if pooled.dtype != linear.weight.dtype:
            pooled = pooled.to(linear.weight.dtype)
        with _without_autocast(pooled.device.type):
            values: Tensor = linear(pooled).sigmoid()
        return values


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    """Returns what turns autocast off, where it is on: entering costs time."""
    available = torch.amp.is_autocast_available(device)
    if available and torch.is_autocast_enabled(device):
        return torch.autocast(device, enabled=False)
    return nullcontext()


class DynamicWeights(EdgeWeights):
    """Weighs a node's output edges for each sample by a router and thresholds.

    A threshold belongs to the node that receives an edge (Eq. 9).

    Args:
        plan: The plan of the stage.
        channels: Width of what each node's router reads.
        settings: The settings of the edges.
    """

    def __init__(self, plan: StagePlan, channels: list[int], settings: Dynamic) -> None:
        super().__init__()
        self.gate = settings.gate
        targets = {node: plan.weighted(node) for node in range(plan.nodes)}
        self.routers = nn.ModuleDict(
            {
                str(node): Router(
                    channels[node],
                    len(heard),
                    bias=settings.bias,
                    std=settings.router_std,
                )
                for node, heard in targets.items()
                if heard
            }
        )
        heard = [j for node in range(plan.nodes) for j in targets[node]]
        receivers = sorted(set(heard))
        place = {j: place for place, j in enumerate(receivers)}
        self.receivers = [
            _places([place[j] for j in targets[node]]) for node in range(plan.nodes)
        ]
        # Without a gate no threshold acts, and a parameter that nothing reads would
        # never get a gradient.
        self.threshold = (
            None
            if settings.gate == "none"
            else nn.Parameter(torch.full((len(receivers),), float(settings.threshold)))
        )

    def forward(self, node: int, signal: Signal) -> Weights:
        """Returns the gated values of the node's router, and which edges are open."""
        if str(node) not in self.routers:
            return signal.x.new_ones(1, 0), None
        router = self.routers[str(node)]
        tau = None
        if self.threshold is not None:
            places = self.receivers[node]
            device = self.threshold.device
            tau = self.threshold[
                places.on(device) if isinstance(places, Index) else places
            ]
        alpha = router(signal.pooled())
        if tau is None:
            return alpha, None
        return gated(self.gate, alpha, tau, training=self.training)


def _places(places: list[int]) -> slice | Index:
    """Returns places as a slice where they follow each other, as in a complete DAG."""
    if places and places == [*range(places[0], places[-1] + 1)]:
        return slice(places[0], places[-1] + 1)
    return Index(places)


class NeutralStart(EdgeWeights):
    """Weighs edges in multiples of what they weigh at the start.

    A sigmoid cannot weigh exactly 1, as the edges of a network do that was trained
    without weights. So an edge weighs ``scale * weight / weight at the start``, with a
    learnable ``scale`` that is 1 on the edges that the network had and 0 on new ones:
    the rewired network computes what the network did. Weights may then exceed 1, or be
    negative.

    Args:
        plan: The plan of the stage.
        weights: The weights that are scaled, the same on every edge at the start.
        at_start: What they weigh at the start, in training and at inference.
        edges: The edges that the network had.

    Raises:
        ModelError: If ``edges`` are not all weighted edges of the plan.
    """

    def __init__(
        self,
        plan: StagePlan,
        weights: EdgeWeights,
        at_start: tuple[float, float],
        edges: Iterable[tuple[int, int]],
    ) -> None:
        super().__init__()
        least = torch.finfo(torch.float32).tiny
        if min(at_start) < least:
            raise ModelError(
                "a neutral start divides by what an edge weighs at the start, which "
                f"must be at least {least:.1e}, got {at_start}; the bias is too low"
            )
        self.weights = weights
        self.at_start = at_start
        self.places = plan.weighted_places
        weighted = [(i, j) for i in range(plan.nodes) for j in plan.weighted(i)]
        had = set(edges)
        missing = sorted(had - set(weighted))
        if missing:
            i, j = missing[0]
            raise ModelError(
                "a neutral start needs a wiring that keeps the edges which the network "
                f"has, each with a weight, got none for {i} -> {j}"
            )
        self.scale = nn.Parameter(torch.tensor([float(e in had) for e in weighted]))

    def forward(self, node: int, signal: Signal) -> Weights:
        """Returns the scaled weights of a node's output edges, and which are open."""
        weights, is_open = self.weights(node, signal)
        start = self.at_start[0 if self.training else 1]
        return self.scale[self.places[node]] * (weights / start), is_open


def edge_weights(
    plan: StagePlan,
    channels: list[int],
    settings: Edges,
    neutral: Iterable[tuple[int, int]] | None = None,
) -> EdgeWeights:
    """Returns the module that weighs the edges of a stage.

    Args:
        plan: The plan of the stage.
        channels: Width of what each node emits, which a router would read.
        settings: Which kind, and its settings.
        neutral: Edges that weigh 1 at the start while all others weigh 0; routers'
            weights are 0 then. By default edges start as their settings say.

    Raises:
        ModelError: If a neutral start is not possible.
    """
    if isinstance(settings, Dynamic):
        if neutral is None:
            return DynamicWeights(plan, channels, settings)
        routed = DynamicWeights(plan, channels, replace(settings, router_std=0.0))
        return NeutralStart(plan, routed, _gated_at_start(settings), neutral)
    if isinstance(settings, Learned):
        learned = LearnedWeights(plan, settings)
        if neutral is None:
            return learned
        start = _initial(settings.bias).sigmoid().item()
        return NeutralStart(plan, learned, (start, start), neutral)
    if neutral is not None and set(neutral) != set(plan.edges):
        other = sorted(set(neutral) ^ set(plan.edges))[0]
        raise ModelError(
            "fixed edges weigh 1, so they start neutral on the network's own edges "
            f"alone, got another wiring, which differs in {other[0]} -> {other[1]}; "
            "learned and dynamic edges can be added at 0"
        )
    return FixedWeights(plan)


def _initial(value: float) -> Tensor:
    """Returns a setting as a parameter that begins with it holds it, in float64."""
    return torch.tensor(float(value)).double()


def _gated_at_start(settings: Dynamic) -> tuple[float, float]:
    """Returns what every dynamic edge weighs at the start, in training and after."""
    alpha = _initial(settings.bias).sigmoid()[None, None]
    tau = _initial(settings.threshold)[None]
    values = []
    for training in (True, False):
        weight, is_open = gated(settings.gate, alpha, tau, training=training)
        if is_open is not None and not is_open.all():
            raise ModelError(
                "a neutral start needs open edges, sigmoid(bias) >= threshold, got "
                f"sigmoid({settings.bias}) < {settings.threshold}"
            )
        values.append(weight.item())
    return values[0], values[1]
