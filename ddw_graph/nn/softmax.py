"""Edge weights that are a node's attention to its inputs."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn

from ddw_graph.nn.constant import Constant
from ddw_graph.nn.edge_weights import EdgeWeights, scale_of
from ddw_graph.nn.features import (
    Features,
    Weights,
    by_position,
    channels_last,
    rms_normalized,
)
from ddw_graph.nn.plan import Ends, StagePlan


class Attention(EdgeWeights):
    """Weighs a node's inputs by its attention to them, at each position.

    The softmax over inputs i of ``q_j . RMSNorm(x_i)``, with queries that start at 0. A
    node with a single input takes it with weight 1 and has no query. A neutral start
    multiplies by the number of inputs and ``neutral_scale``.

    Source:
        Attention Residuals, arXiv:2603.15031 (on the complete DAG of branches).
    """

    kind = "attention"

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.of_inputs = [
            Constant(plan.places_of((i, j) for i in plan.weighted_sources(j)))
            for j in range(plan.nodes)
        ]
        self.queries = nn.ParameterDict(
            {
                str(node): nn.Parameter(torch.zeros(channels[sources[-1]]))
                for node in range(plan.nodes)
                if len(sources := plan.weighted_sources(node)) > 1
            }
        )

    def incoming(
        self, node: int, inputs: Sequence[Features], weights: Weights
    ) -> Weights:
        """Returns the softmax of the products of query and normalized inputs."""
        shares = weights
        if str(node) in self.queries:
            query, axis = self.queries[str(node)], self.plan.channel_axis
            products = [rms_normalized(channels_last(x, axis)) @ query for x in inputs]
            shares = by_position(torch.stack(products, -1), axis).softmax(1)
        if self.neutral_scale is None:
            return shares
        places = self.of_inputs[node].on(self.neutral_scale.device)
        scale = len(inputs) * self.neutral_scale[places]
        return shares * scale.view(1, -1, *[1] * (shares.ndim - 2))

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Scales the shares."""
        self.neutral_scale = nn.Parameter(torch.tensor(scale_of(self.plan, edges)))

    def macs(self, node: int, elements: int) -> int:
        """Returns one for each element of each input of a node with a query."""
        fan_in = len(self.plan.weighted_sources(node))
        return fan_in * elements if str(node) in self.queries else 0

    def no_weight_decay(self) -> set[str]:
        """Returns none: queries decay, toward equal shares."""
        return set()
