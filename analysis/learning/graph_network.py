"""A small graph network over wirings, and its fit."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader
from torch_geometric.nn import (
    MLP,
    GINEConv,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

from ddw_graph.analysis.learning.graphs import NODE_FEATURES

WAVES = 4
"""Frequencies that encode a node's place: neighbours in a long order have nearly the
same place, but different waves."""


class GraphNetwork(nn.Module):
    """Predicts something of a network from the graph of its wirings.

    Each edge starts as a function of its two nodes and its own features, in either
    direction. Nodes receive along and against the edges, by a convolution of GINE a
    layer. Mean, maximum and sum over nodes, and the mean over edges, go to a linear
    head: edges too, since a mean over nodes would dilute a single weight. Nothing
    depends on the numbering of nodes.

    Args:
        outputs: Classes, or 1 for a number.
        edge_features: Columns of ``edge_attr``.
        hidden: Features of a node and of an edge.
        layers: Number of convolutions.

    Shapes:
        - output: ``(graphs, outputs)``

    Example:
        >>> from ddw_graph.analysis.learning.graphs import wirings_graph
        >>> from ddw_graph.generators import vgg
        >>> GraphNetwork(3).eval()(wirings_graph([vgg(4)])).shape
        torch.Size([1, 3])

    Source:
        Hu et al. 2020, arXiv:1905.12265 (GINE).
    """

    def __init__(
        self, outputs: int, edge_features: int = 2, hidden: int = 32, layers: int = 2
    ) -> None:
        super().__init__()
        features = len(NODE_FEATURES) + 2 * WAVES

        def mlp(inputs: int) -> MLP:
            return MLP([inputs, hidden, hidden], norm=None)

        self.nodes = nn.Sequential(nn.BatchNorm1d(features), mlp(features))
        self.edges = mlp(2 * hidden + edge_features + 1)
        self.layers = nn.ModuleList(GINEConv(mlp(hidden)) for _ in range(layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(layers))
        self.last = mlp(3 * hidden)
        # Means of one wiring's samples are nearly the same; this scales what differs.
        self.head = nn.Sequential(
            nn.BatchNorm1d(4 * hidden), nn.Linear(4 * hidden, outputs)
        )

    def forward(self, graph: Data) -> Float[Tensor, "graphs outputs"]:
        """Returns the outputs for each graph of a batch, or for a single one."""
        waves = graph.x[:, :1] * math.pi * 2.0 ** torch.arange(WAVES)
        nodes = self.nodes(torch.cat([graph.x, waves.sin(), waves.cos()], 1))
        source, target = graph.edge_index
        both = torch.cat([graph.edge_index, graph.edge_index.flip(0)], 1)
        attributes = functional.pad(graph.edge_attr, (0, 1)).repeat(2, 1)
        attributes[len(source) :, -1] = 1  # against the edge
        edges = self.edges(torch.cat([*nodes[both], attributes], 1))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            nodes = norm(nodes + layer(nodes, both, edges))
        edges = edges[: len(source)]
        edges = self.last(torch.cat([nodes[source], nodes[target], edges], 1))
        batch = graph.batch
        if batch is None:
            batch = source.new_zeros(len(nodes))
        pools = (global_mean_pool, global_max_pool, global_add_pool)
        pooled = [pool(nodes, batch) for pool in pools]
        pooled.append(global_mean_pool(edges, batch[source]))
        outputs: Tensor = self.head(torch.cat(pooled, 1))
        return outputs


def network_predictions(
    graphs: Sequence[Data],
    y: Shaped[np.ndarray, " graphs"],
    train: Int[np.ndarray, " train"],
    test: Int[np.ndarray, " test"],
    *,
    epochs: int,
    seed: int,
) -> Shaped[np.ndarray, " test"]:
    """Fits a graph network to some graphs and returns its predictions for others.

    Classes (integers) are fitted by cross-entropy; numbers, in the mean and standard
    deviation of the training graphs, by squared error. AdamW, a cosine schedule and a
    fixed number of epochs: nothing is chosen by what is held out.

    Args:
        graphs: All graphs.
        y: The class or the number of each.
        train: Places of those to fit to, at least two.
        test: Places of those to predict.
        epochs: Passes over the training graphs.
        seed: Fixes initial weights and the order of graphs.
    """
    numbers = y.dtype.kind == "f"
    known = torch.from_numpy(y[train])
    mean, std = (y[train].mean(), y[train].std() or 1.0) if numbers else (0, 1)
    targets = ((known - mean) / std).float() if numbers else known
    size = min(32, max(2, len(train) // 2))  # several steps an epoch for few graphs too
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = GraphNetwork(
            1 if numbers else int(y.max()) + 1, graphs[0].edge_attr.shape[1]
        )
        loader = DataLoader(
            [(graphs[place], t) for place, t in zip(train, targets, strict=True)],
            size,
            shuffle=True,
            drop_last=len(train) % size == 1,  # batch normalisation needs two graphs
        )
        optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
        steps = epochs * len(loader)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(epochs):
            for batch, labels in loader:
                optimizer.zero_grad()
                if numbers:
                    loss = functional.mse_loss(network(batch)[:, 0], labels)
                else:
                    loss = functional.cross_entropy(network(batch), labels)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        network.eval()
        with torch.no_grad():
            held_out = DataLoader([graphs[place] for place in test], 128)
            found = torch.cat([network(batch) for batch in held_out]).double().numpy()
    return mean + std * found[:, 0] if numbers else found.argmax(1)
