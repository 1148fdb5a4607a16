"""Edge weights that routers decide from what a node has computed (DDW)."""

import copy
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_finite, check_one_of
from ddw_graph.nn.constant import Constant
from ddw_graph.nn.edge_weights import EdgeWeights, Gated
from ddw_graph.nn.features import (
    Features,
    Weights,
    by_position,
    channels_last,
    pooled,
    rms_normalized,
)
from ddw_graph.nn.gates import GATES, gated
from ddw_graph.nn.plan import Ends, StagePlan

RouterFactory = Callable[[int, int], nn.Module]
"""Makes a router from ``(channels, fan_out)``."""


@dataclass(frozen=True)
class Dynamic:
    """A router at each node weighs its output edges (Eq. 4).

    Args:
        bias: Bias of the routers at the start; 3 opens every edge.
        gate: How thresholds act: ``psi``, ``hard``, ``eq5`` or ``none``; see
            ``ddw_graph.nn.gates.gated``.
        threshold: tau of every receiving node at the start.
        router_std: Standard deviation of the routers' weights at the start; more than
            0 so that the wiring can begin to depend on the sample.
        per: ``sample``: a weight for each sample, from features pooled over positions.
            ``position``: one for each position, without pooling.
        norm: ``rms``: routers read features divided by the root mean square of their
            channels at each position. ``none``: features.
        router: Another router: called with ``(channels, fan_out)``, it returns a module
            that maps features with channels on the last axis, ``(batch, channels)`` or
            for ``per="position"`` ``(batch, *positions, channels)``, to values in
            ``(0, 1)``, ``fan_out`` in place of ``channels``. ``bias`` and
            ``router_std`` are for the default, ``Router``.
    """

    kind: ClassVar[str] = "dynamic"
    bias: float = 3.0
    gate: str = "psi"
    threshold: float = 0.0
    router_std: float = 0.01
    per: str = "sample"
    norm: str = "none"
    router: RouterFactory | None = None

    def __post_init__(self) -> None:
        """Checks the settings."""
        check_one_of("gate", self.gate, GATES)
        check_one_of("per", self.per, ("sample", "position"))
        check_one_of("norm", self.norm, ("none", "rms"))
        check_finite(
            bias=self.bias, threshold=self.threshold, router_std=self.router_std
        )
        if self.router_std < 0:
            raise ModelError(f"router_std must be at least 0, got {self.router_std}")
        if self.router is not None and not callable(self.router):
            raise ModelError(f"router must be callable, got {self.router!r}")

    @property
    def closes_in_training(self) -> bool:
        """Whether edges close in training as at inference."""
        return self.gate == "hard"

    def __call__(self, plan: StagePlan, channels: Sequence[int]) -> EdgeWeights:
        """Returns the weights of a stage."""
        return DynamicWeights(plan, channels, self)


class Router(nn.Module):
    """Maps a node's features to a value in ``(0, 1)`` for each of its output edges.

    A linear layer and a sigmoid.

    Args:
        channels: Width of the features.
        fan_out: Number of weighted output edges.

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
        self, x: Float[Tensor, "batch *positions channels"]
    ) -> Float[Tensor, "batch *positions fan_out"]:
        """Returns the values of the output edges."""
        values: Tensor = self.linear(x).sigmoid()
        return values


class DynamicWeights(EdgeWeights):
    """Weighs a node's output edges by a router and thresholds.

    A threshold belongs to the node that receives an edge (Eq. 9).
    """

    def __init__(
        self, plan: StagePlan, channels: Sequence[int], settings: Dynamic
    ) -> None:
        super().__init__(plan, channels)
        self.settings = settings
        self.can_close = settings.gate != "none"
        self.sees_all_positions = settings.per == "sample"
        self.routers = nn.ModuleDict()
        for node in range(plan.nodes):
            if fan_out := len(plan.weighted(node)):
                self.routers[str(node)] = (
                    Router(
                        channels[node],
                        fan_out,
                        bias=settings.bias,
                        std=settings.router_std,
                    )
                    if settings.router is None
                    else settings.router(channels[node], fan_out)
                )
        self.targets = sorted({j for _, j in plan.weighted_edges})
        place = {j: place for place, j in enumerate(self.targets)}
        self.of_targets = [
            Constant([place[j] for j in plan.weighted(node)])
            for node in range(plan.nodes)
        ]
        # Without a gate no threshold acts, and a parameter that nothing reads would
        # never get a gradient.
        self.threshold = (
            nn.Parameter(torch.full((len(self.targets),), float(settings.threshold)))
            if self.can_close
            else None
        )

    def outgoing(self, node: int, x: Features) -> Weights | Gated:
        """Returns the gated values of the node's router, and which edges are open."""
        settings, axis = self.settings, self.plan.channel_axis
        if settings.norm == "rms" or settings.per == "position":
            x, axis = channels_last(x, axis), -1
        if settings.norm == "rms":
            x = rms_normalized(x)
        if settings.per == "sample":
            x = pooled(x, axis)
        values = _precise(self.routers[str(node)], x)
        fan_out = len(self.plan.weighted(node))
        if values.shape != (*x.shape[:-1], fan_out):
            raise ModelError(
                f"the router of node {node} must return a value for each of {fan_out} "
                f"output edges, {(*x.shape[:-1], fan_out)}, got {tuple(values.shape)}"
            )
        if settings.per == "position" and x.ndim > 2:
            values = by_position(values, self.plan.channel_axis)
        if self.threshold is None:
            return values
        tau = self.threshold[self.of_targets[node].on(self.threshold.device)]
        if values.ndim > 2:
            tau = tau.view(-1, *[1] * (values.ndim - 2))
        return Gated(*gated(settings.gate, values, tau, training=self.training))

    def macs(self, node: int, elements: int) -> int:
        """Returns the additions of the pooling, and what the router takes.

        Those of a router that is not the default are counted on a copy without data:
        convolutions and products of matrices.
        """
        if str(node) not in self.routers:
            return 0
        router, channels = self.routers[str(node)], self.channels[node]
        if self.settings.per == "sample":
            return elements + _macs_of(router, (1, channels))
        return _macs_of(router, (1, elements // channels, channels))

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Scales weights, of routers that begin with their bias alone."""
        # Checked first: an edge that is closed at the start cannot start at 1.
        self.at_start = self._gated_at_start()
        for router in self.routers.values():
            assert isinstance(router, Router)
            nn.init.zeros_(router.linear.weight)
        super().neutral(edges)

    def _gated_at_start(self) -> tuple[float, float]:
        """Returns what every edge weighs at the start, in training and at inference."""
        settings = self.settings
        if settings.router is not None:
            raise ModelError(
                "a neutral start needs to know what edges weigh at the start, got a "
                "router of your own: neutral=False takes it as it starts"
            )
        # As parameters that begin with the settings hold them, in float64; on the CPU
        # also where modules are made on meta.
        with torch.device("cpu"):
            alpha = torch.tensor([[float(settings.bias)]]).double().sigmoid()
            tau = torch.tensor([float(settings.threshold)]).double()
        weights = []
        for training in (True, False):
            weight, is_open = gated(settings.gate, alpha, tau, training=training)
            if is_open is not None and not is_open.all():
                raise ModelError(
                    "a neutral start needs open edges, sigmoid(bias) >= threshold, got "
                    f"sigmoid({settings.bias}) < {settings.threshold}"
                )
            weights.append(weight.item())
        return weights[0], weights[1]

    def take_over(self, other: Any, edges: set[Ends], nodes: Sequence[int]) -> None:
        """Copies the routers' rows and the thresholds of the edges that are left."""
        if self.settings.router is not None:
            if edges != set(other.plan.edges):
                raise ModelError(
                    "edges are pruned from the rows of the default router, got a "
                    "router of your own, whose outputs cannot be taken apart"
                )
            self.load_state_dict(other.state_dict())
            return
        for name, router in self.routers.items():
            node = nodes[int(name)]
            targets = other.plan.weighted(node)
            rows = [row for row, j in enumerate(targets) if (node, j) in edges]
            old: Any = other.routers[str(node)].linear
            new: Any = router.linear
            new.weight.data.copy_(old.weight.data[rows])
            new.bias.data.copy_(old.bias.data[rows])
        if self.threshold is not None:
            places = [other.targets.index(nodes[j]) for j in self.targets]
            self.threshold.data.copy_(other.threshold.data[places])


def _precise(router: nn.Module, x: Tensor) -> Tensor:
    """Returns what a router makes of features, never in autocast's precision.

    Thresholds cut where values lie close together.
    """
    # A quantized router has no parameters, and takes float32.
    parameter = next(router.parameters(), None)
    x = x.to(torch.float32 if parameter is None else parameter.dtype)
    device = x.device.type
    full: AbstractContextManager[Any] = nullcontext()
    # Turned off only where it is on: entering costs time.
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        full = torch.autocast(device, enabled=False)
    with full:
        values: Tensor = router(x)
    return values


def _macs_of(router: nn.Module, shape: tuple[int, ...]) -> int:
    """Returns the MACs of a router for features with their channels last."""
    if isinstance(router, Router):
        return prod(shape) * router.linear.out_features
    copied = copy.deepcopy(router).to("meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copied(torch.empty(shape, device="meta"))
    return int(counter.get_total_flops()) // 2
