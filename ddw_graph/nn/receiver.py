"""Edge weights that the receiving node decides from its newest input."""

from collections.abc import Iterable, Sequence

import torch
from torch import nn
from torch.nn.functional import gelu

from ddw_graph.errors import ModelError
from ddw_graph.nn.edge_weights import EdgeWeights, scale_of
from ddw_graph.nn.features import (
    Features,
    Weights,
    by_position,
    channels_last,
    rms_normalized,
)
from ddw_graph.nn.plan import Ends, StagePlan


class Receiver(EdgeWeights):
    """Weighs a node's inputs at each position by what its newest one holds.

    ``a_ij + (W2 gelu(W1 RMSNorm(x_last)))_i``, where ``x_last`` is the input from the
    last node before j, and W1 and W2 have as many rows as j has inputs. W2 starts at 0;
    a starts at 1, and at 0 on the edges that a rewired network did not have. A single
    input weighs 1.

    Source:
        MUDDFormer, arXiv:2502.12170, with one stream in place of its four (on the
        complete DAG of whole blocks).
    """

    kind = "receiver"
    starts_neutral = True

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        sources = {str(j): plan.weighted_sources(j) for j in range(plan.nodes)}
        several = {node: each for node, each in sources.items() if len(each) > 1}
        self.static = nn.ParameterDict(
            {node: nn.Parameter(torch.ones(len(i))) for node, i in several.items()}
        )
        self.first = nn.ModuleDict(
            {
                node: nn.Linear(channels[i[-1]], len(i), bias=False)
                for node, i in several.items()
            }
        )
        self.second = nn.ModuleDict(
            {node: nn.Linear(len(i), len(i), bias=False) for node, i in several.items()}
        )
        for layer in self.second.values():
            nn.init.zeros_(layer.weight)  # type: ignore[arg-type]

    def incoming(
        self, node: int, inputs: Sequence[Features], weights: Weights
    ) -> Weights:
        """Returns the weights of a node's inputs at each position."""
        name, axis = str(node), self.plan.channel_axis
        if name not in self.static:
            return weights
        newest = rms_normalized(channels_last(inputs[-1], axis))
        values = self.second[name](gelu(self.first[name](newest)))
        return by_position(self.static[name] + values, axis)

    def macs(self, node: int, elements: int) -> int:
        """Returns the MACs of the two linear layers."""
        if str(node) not in self.static:
            return 0
        fan_in, width = self.first[str(node)].weight.shape  # type: ignore[misc]
        return fan_in * elements + fan_in * fan_in * (elements // int(width))

    def neutral(self, edges: Iterable[Ends]) -> None:
        """Sets a to 1 on these edges and to 0 on all others."""
        values = scale_of(self.plan, edges)
        start = dict(zip(self.plan.weighted_edges, values, strict=True))
        for node in range(self.plan.nodes):
            sources = self.plan.weighted_sources(node)
            if str(node) in self.static:
                own = torch.tensor([start[i, node] for i in sources])
                self.static[str(node)].data.copy_(own)
            elif sources and start[sources[0], node] != 1:
                raise ModelError(
                    "receiver edges give a single input the weight 1, so they start "
                    "neutral where every node with one input keeps an edge of the "
                    f"network of weight 1, got {sources[0]} -> {node}, which has "
                    f"{start[sources[0], node]:g}"
                )
