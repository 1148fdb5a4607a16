"""Edge weights that are a softmax over the inputs of each node."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ddw_graph.nn.constant import Constant
from ddw_graph.nn.edge_weights import EdgeWeights, Ends, scale_of
from ddw_graph.nn.features import (
    Features,
    Weights,
    by_position,
    channels_last,
    rms_normalized,
)
from ddw_graph.nn.plan import StagePlan


class SoftmaxWeights(EdgeWeights):
    """Weighs the inputs of a node by a softmax over ``scores``. No edge can close.

    A neutral start multiplies by ``fan_in * neutral_scale``.
    """

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.of_inputs = [Constant(plan.input_places(j)) for j in range(plan.nodes)]

    def scores(self, node: int, inputs: Sequence[Features]) -> Weights:
        """Returns the logits of a node's inputs."""
        raise NotImplementedError

    def incoming(
        self, node: int, inputs: Sequence[Features], weights: Weights
    ) -> Weights:
        """Returns the softmax of the scores."""
        shares = self.scores(node, inputs).softmax(1)
        if self.neutral_scale is None:
            return shares
        scale = len(inputs) * self.inputs_of(self.neutral_scale, node)
        return shares * scale.view(1, -1, *[1] * (shares.ndim - 2))

    def inputs_of(self, values: Tensor, node: int) -> Tensor:
        """Returns those of the values of all edges that belong to a node's inputs."""
        return values[self.of_inputs[node].on(values.device)]

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Scales the shares."""
        self.neutral_scale = nn.Parameter(scale_of(self.plan, edges))


class LearnedSoftmaxWeights(SoftmaxWeights):
    """Weighs inputs by the softmax of a parameter of each edge, 0 at the start."""

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.logit = nn.Parameter(torch.zeros(len(plan.weighted_edges)))

    def scores(self, node: int, inputs: Sequence[Features]) -> Weights:
        """Returns the logits of the node's inputs, one row for all samples."""
        return self.inputs_of(self.logit, node)[None]

    def macs(self, node: int, elements: int) -> int:
        """Returns 0."""
        return 0


class Attention(SoftmaxWeights):
    """Weighs a node's inputs by its attention to them, at each position.

    The softmax over inputs i of ``q_j . RMSNorm(x_i)``, with queries that start at 0. A
    node with a single input takes it with weight 1 and has no query.

    Source:
        Attention Residuals, arXiv:2603.15031 (on the complete DAG of branches).
    """

    kind = "attention"

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.queries = nn.ParameterDict(
            {
                str(node): nn.Parameter(torch.zeros(channels[sources[-1]]))
                for node in range(plan.nodes)
                if len(sources := plan.weighted_sources(node)) > 1
            }
        )

    def scores(self, node: int, inputs: Sequence[Features]) -> Weights:
        """Returns the products of the node's query and its normalized inputs."""
        if str(node) not in self.queries:
            return inputs[0].new_zeros(1, len(inputs))
        query, axis = self.queries[str(node)], self.plan.channel_axis
        products = [rms_normalized(channels_last(x, axis)) @ query for x in inputs]
        return by_position(torch.stack(products, -1), axis)

    def macs(self, node: int, elements: int) -> int:
        """Returns one for each element of each input of a node with a query."""
        fan_in = len(self.plan.weighted_sources(node))
        return fan_in * elements if str(node) in self.queries else 0

    def no_weight_decay(self) -> set[str]:
        """Returns none: queries decay, toward equal shares."""
        return set()
