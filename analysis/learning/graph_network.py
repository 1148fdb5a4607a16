"""A small graph network over wirings."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.data import Data
from torch_geometric.nn import (
    GINEConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

from ddw_graph.analysis.learning.wiring_graph import NODE_FEATURES

WAVES = 4
"""Frequencies at which a place is told beside the place itself."""


class GraphNetwork(nn.Module):
    """Tells something of a network from the graph of its wirings.

    Each edge begins as a function of its two nodes and of its own features, its weight
    among them; then nodes hear along the edges and against them, by two convolutions
    of GINE a layer. The mean, the largest and the sum of what is known of nodes, and
    the mean of what is known of edges, go to a linear head: of edges too, since a mean
    of nodes would thin out what a single weight tells. Nothing depends on the numbering
    of nodes.

    Args:
        outputs: Numbers told of a graph.
        edge_features: Columns of ``edge_attr``.
        hidden: Width of what is known of a node and an edge.
        layers: How often nodes hear of each other.
        degree: Mean number of edges of a node, which degrees are counted in.
        size: Mean number of nodes of a graph, which sums are counted in.

    Shapes:
        - output: ``(graphs, outputs)``

    Example:
        >>> from ddw_graph.analysis.learning.wiring_graph import wirings_graph
        >>> from ddw_graph.generators import vgg
        >>> GraphNetwork(3).eval()(wirings_graph([vgg(4)])).shape
        torch.Size([1, 3])

    Source:
        Hu et al. 2020, arXiv:1905.12265 (GINE).
    """

    def __init__(
        self,
        outputs: int,
        edge_features: int = 2,
        *,
        hidden: int = 32,
        layers: int = 2,
        degree: float = 1.0,
        size: float = 1.0,
    ) -> None:
        super().__init__()
        self.degree = degree
        self.size = size
        self.nodes = mlp(len(NODE_FEATURES) + 2 * WAVES, hidden)
        self.edges = mlp(2 * hidden + edge_features, hidden)
        self.along = nn.ModuleList(GINEConv(mlp(hidden, hidden)) for _ in range(layers))
        self.against = nn.ModuleList(
            GINEConv(mlp(hidden, hidden)) for _ in range(layers)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.last = mlp(3 * hidden, hidden)
        # Means of one wiring's samples are nearly the same; this scales what differs.
        self.pooled = nn.BatchNorm1d(4 * hidden)
        self.head = nn.Linear(4 * hidden, outputs)

    def forward(self, graph: Data) -> Float[Tensor, "graphs outputs"]:
        """Returns what is told of each graph of a batch, or of a single one."""
        index: Tensor = graph.edge_index
        known = self.nodes(self._features(graph.x))
        source, target = index
        ends = [known[source], known[target], graph.edge_attr]
        edges = self.edges(torch.cat(ends, 1))
        for along, against, norm in zip(
            self.along, self.against, self.norms, strict=True
        ):
            heard = along(known, index, edges) + against(known, index.flip(0), edges)
            known = norm(known + heard)
        batch = graph.batch
        if batch is None:
            batch = index.new_zeros(len(known))
        pooled = [
            global_mean_pool(known, batch),
            global_max_pool(known, batch),
            global_add_pool(known, batch) / self.size,
            global_mean_pool(
                self.last(torch.cat([known[source], known[target], edges], 1)),
                batch[source],
            ),
        ]
        told: Tensor = self.head(self.pooled(torch.cat(pooled, 1)))
        return told

    def _features(
        self, x: Float[Tensor, "nodes features"]
    ) -> Float[Tensor, "nodes more"]:
        """Returns the features, degrees in their mean, and the place in waves too.

        Neighbours in a long order have nearly the same place, but not the same waves.
        """
        frequency = math.pi * 2.0 ** torch.arange(WAVES, device=x.device)
        waves = x[:, :1] * frequency
        counted = x / x.new_tensor([1, self.degree, self.degree, 1, 1, 1])
        return torch.cat([counted, waves.sin(), waves.cos()], 1)


def mlp(inputs: int, outputs: int) -> nn.Sequential:
    """Returns two linear layers with a ReLU between.

    Example:
        >>> len(mlp(2, 3))
        3
    """
    return nn.Sequential(
        nn.Linear(inputs, outputs), nn.ReLU(), nn.Linear(outputs, outputs)
    )
