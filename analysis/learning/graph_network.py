"""A small graph network over wirings, and its fit."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
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

WIDTH = 32
"""Features of a node and of an edge within the network."""

WAVES = 4
"""Frequencies that encode a node's place: neighbours in a long order have nearly the
same place, but different waves."""


class GraphNetwork(nn.Module):
    """Predicts a label from the graph of a network's wirings.

    Each edge starts as a function of its two nodes and its own features, in either
    direction. Nodes receive along and against the edges, by two convolutions of GINE.
    Mean, maximum and sum over nodes, and the mean over edges, go to a linear head:
    edges too, since a mean over nodes would dilute a single weight. Nothing depends on
    the numbering of nodes.

    Args:
        outputs: Number of classes.
        edge_features: Columns of ``edge_attr``.

    Shapes:
        - output: ``(graphs, outputs)``

    Source:
        Hu et al. 2020, arXiv:1905.12265 (GINE).
    """

    def __init__(self, outputs: int, edge_features: int = 2) -> None:
        super().__init__()
        features = len(NODE_FEATURES) + 2 * WAVES
        self.nodes = nn.Sequential(nn.BatchNorm1d(features), _mlp(features))
        self.edges = _mlp(2 * WIDTH + edge_features + 1)
        self.layers = nn.ModuleList(GINEConv(_mlp(WIDTH)) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in range(2))
        self.last = _mlp(3 * WIDTH)
        # Means of one wiring's samples are nearly the same; this scales what differs.
        norm = nn.BatchNorm1d(4 * WIDTH)
        self.head = nn.Sequential(norm, nn.Linear(4 * WIDTH, outputs))

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
        batch = source.new_zeros(len(nodes)) if graph.batch is None else graph.batch
        pools = (global_mean_pool, global_max_pool, global_add_pool)
        pooled = [pool(nodes, batch) for pool in pools]
        pooled.append(global_mean_pool(edges, batch[source]))
        outputs: Tensor = self.head(torch.cat(pooled, 1))
        return outputs


def _mlp(inputs: int) -> MLP:
    return MLP([inputs, WIDTH, WIDTH], norm=None)


def network_predictions(
    graphs: Sequence[Data],
    labels: Int[np.ndarray, " graphs"],
    train: Int[np.ndarray, " train"],
    test: Int[np.ndarray, " test"],
    *,
    epochs: int,
    seed: int,
) -> Int[np.ndarray, " test"]:
    """Fits a graph network to some graphs and returns its predictions for others.

    AdamW, a cosine schedule and a fixed number of epochs: nothing is chosen by what is
    held out.

    Args:
        graphs: All graphs.
        labels: The label of each, from 0.
        train: Places of those to fit to, at least two.
        test: Places of those to predict.
        epochs: Passes over the training graphs.
        seed: Fixes initial weights and the order of graphs.
    """
    size = min(32, max(2, len(train) // 2))  # several steps an epoch for few graphs too
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        network = GraphNetwork(int(labels.max()) + 1, graphs[0].edge_attr.shape[1])
        loader = DataLoader(
            [(graphs[place], int(labels[place])) for place in train],
            size,
            shuffle=True,
            drop_last=len(train) % size == 1,  # batch normalisation needs two graphs
        )
        optimizer = torch.optim.AdamW(network.parameters(), 3e-3, weight_decay=1e-2)
        steps = epochs * len(loader)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(epochs):
            for batch, targets in loader:
                optimizer.zero_grad()
                loss = functional.cross_entropy(network(batch), targets)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
        network.eval()
        with torch.no_grad():
            held_out = DataLoader([graphs[place] for place in test], 128)
            return torch.cat([network(batch).argmax(1) for batch in held_out]).numpy()
