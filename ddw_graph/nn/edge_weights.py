"""The modules that weigh edges: constants, parameters, routers."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ddw_graph.nn.edges import Dynamic, Edges, Learned
from ddw_graph.nn.gates import gated
from ddw_graph.nn.plan import StagePlan

Weights = tuple[Float[Tensor, "rows edges"], Bool[Tensor, "rows edges"] | None]


class EdgeWeights(nn.Module):
    """Weighs the output edges of each node of a stage.

    A stage runs the same lines whatever the kind: for each node it asks for the
    weights that the node's weighted output edges have while open, and for which of
    them are open. ``rows`` is the batch, or 1 where all samples share the weights.
    """

    def forward(
        self, node: int, x: Float[Tensor, "batch channels height width"]
    ) -> Weights:
        """Returns the weights of a node's weighted output edges, and which are open."""
        raise NotImplementedError


class FixedWeights(EdgeWeights):
    """Weighs every edge 1."""

    def __init__(self, plan: StagePlan) -> None:
        super().__init__()
        self.fan_out = [len(plan.weighted(node)) for node in range(plan.nodes)]

    def forward(
        self, node: int, x: Float[Tensor, "batch channels height width"]
    ) -> Weights:
        """Returns ones."""
        return x.new_ones(1, self.fan_out[node]), None


class LearnedWeights(EdgeWeights):
    """Weighs each edge by the sigmoid of a parameter of its own."""

    def __init__(self, plan: StagePlan, settings: Learned) -> None:
        super().__init__()
        self.places = plan.weighted_places
        count = self.places[-1].stop
        self.logit = nn.Parameter(torch.full((count,), float(settings.bias)))

    def forward(
        self, node: int, x: Float[Tensor, "batch channels height width"]
    ) -> Weights:
        """Returns the sigmoids of the node's logits, one row for all samples."""
        return self.logit[self.places[node]].sigmoid()[None], None


class Router(nn.Module):
    """Maps a node's features to a value in ``(0, 1)`` for each of its output edges.

    Global average pooling, a fully connected layer, a sigmoid.

    Args:
        channels: Width of the features.
        fan_out: Number of weighted output edges.
        bias: Bias at the start.
        std: Standard deviation of the weights at the start.

    Shapes:
        - x: ``(batch, channels, height, width)``
        - output: ``(batch, fan_out)``

    Example:
        >>> Router(16, 3)(torch.zeros(2, 16, 4, 4))[0]
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
        self, x: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch fan_out"]:
        """Returns the values of the output edges, for each sample."""
        values: Tensor = self.linear(x.mean((2, 3))).sigmoid()
        return values


class DynamicWeights(EdgeWeights):
    """Weighs a node's output edges for each sample by a router and thresholds.

    A threshold belongs to the node that receives an edge (Eq. 9).

    Args:
        plan: The plan of the stage.
        channels: Width of what each node's router reads.
        settings: The settings of the edges.
    """

    receiver: Tensor

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
        self.places = plan.weighted_places
        heard = [j for node in range(plan.nodes) for j in targets[node]]
        receivers = sorted(set(heard))
        index = torch.tensor([receivers.index(j) for j in heard], dtype=torch.long)
        self.register_buffer("receiver", index, persistent=False)
        # Without a gate no threshold acts, and a parameter that nothing reads would
        # never get a gradient.
        self.threshold = (
            None
            if settings.gate == "none"
            else nn.Parameter(torch.full((len(receivers),), float(settings.threshold)))
        )

    def forward(
        self, node: int, x: Float[Tensor, "batch channels height width"]
    ) -> Weights:
        """Returns the gated values of the node's router, and which edges are open."""
        if str(node) not in self.routers:
            return x.new_ones(1, 0), None
        alpha = self.routers[str(node)](x)
        if self.threshold is None:
            return alpha, None
        tau = self.threshold[self.receiver[self.places[node]]]
        return gated(self.gate, alpha, tau, training=self.training)


def edge_weights(plan: StagePlan, channels: list[int], settings: Edges) -> EdgeWeights:
    """Returns the module that weighs the edges of a stage.

    Args:
        plan: The plan of the stage.
        channels: Width of what each node emits, which a router would read.
        settings: Which kind, and its settings.
    """
    if isinstance(settings, Dynamic):
        return DynamicWeights(plan, channels, settings)
    if isinstance(settings, Learned):
        return LearnedWeights(plan, settings)
    return FixedWeights(plan)
