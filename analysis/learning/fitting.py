"""Fitting a graph network to graphs, and what it tells of others."""

from collections.abc import Sized
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset
from torch_geometric.data import Data
from torch_geometric.loader import DataLoader

from ddw_graph.analysis.learning.graph_network import GraphNetwork
from ddw_graph.errors import RunError


@dataclass(frozen=True)
class Fitting:
    """How a graph network is fitted: AdamW, a rate that falls to 0, no early stop.

    Nothing here is chosen by what is held out.

    Args:
        epochs: Passes over the graphs.
        batch_size: Graphs in a step, at least 2.
        learning_rate: At the start.
        weight_decay: Of AdamW.
        hidden: Width of the network.
        layers: How often nodes hear of each other.
        device: Where it computes.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    hidden: int = 32
    layers: int = 2
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("epochs", "batch_size", "hidden", "layers"):
            least, value = 1 + (name == "batch_size"), getattr(self, name)
            if value < least:
                raise RunError(f"{name} must be at least {least}, got {value}")
        for name in ("learning_rate", "weight_decay"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise RunError(f"{name} must be finite and at least 0, got {value}")


class Graphs(Dataset[Data]):
    """Graphs that are all in memory, or some of another data set.

    Args:
        graphs: A list or a data set of graphs.
        chosen: The numbers of those that count; all by default.
    """

    def __init__(self, graphs: Any, chosen: Any = None) -> None:
        self.graphs = graphs
        self.chosen = range(len(graphs)) if chosen is None else [*map(int, chosen)]

    def __len__(self) -> int:
        """Returns the number of graphs."""
        return len(self.chosen)

    def __getitem__(self, index: int) -> Data:
        """Returns a graph."""
        graph = self.graphs[self.chosen[index]]
        assert isinstance(graph, Data)
        return graph


def fitted(
    graphs: Dataset[Data], fitting: Fitting, *, outputs: int, seed: tuple[int, ...]
) -> GraphNetwork:
    """Returns a graph network that is fitted to graphs, at least two.

    Labels (``y`` of integers) are fitted by cross-entropy, numbers by squared error.

    Args:
        graphs: The graphs, each with ``y``.
        fitting: How.
        outputs: Classes, or 1 for a number.
        seed: Fixes where it begins and the order of graphs; several numbers.
    """
    assert isinstance(graphs, Sized)
    begin, order = np.random.SeedSequence(seed).generate_state(2)
    first = graphs[0]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(begin))
        network = GraphNetwork(
            outputs,
            first.edge_attr.shape[1],
            hidden=fitting.hidden,
            layers=fitting.layers,
            degree=first.num_edges / first.num_nodes,
            size=float(first.num_nodes),
        )
    network.to(fitting.device).train()
    loader = DataLoader(
        graphs,
        fitting.batch_size,
        shuffle=True,
        # A graph alone has no batch to be normalised by.
        drop_last=len(graphs) % fitting.batch_size == 1,
        generator=torch.Generator().manual_seed(int(order)),
    )
    optimizer = torch.optim.AdamW(
        network.parameters(), fitting.learning_rate, weight_decay=fitting.weight_decay
    )
    steps = fitting.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(fitting.epochs):
        for batch in loader:
            batch = batch.to(fitting.device)
            optimizer.zero_grad()
            loss(network(batch), batch.y).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            schedule.step()
    return network.eval()


def loss(told: Float[Tensor, "graphs outputs"], y: Tensor) -> Float[Tensor, ""]:
    """Returns the cross-entropy of labels, or the squared error of numbers."""
    if y.is_floating_point():
        return functional.mse_loss(told[:, 0], y)
    return functional.cross_entropy(told, y)


@torch.no_grad()
def told(
    network: GraphNetwork, graphs: Dataset[Data], fitting: Fitting
) -> Float[np.ndarray, "graphs outputs"]:
    """Returns what a network tells of graphs, in their order."""
    loader = DataLoader(
        graphs,
        4 * fitting.batch_size,
        # Of its own, so that making a loader leaves the global generator alone.
        generator=torch.Generator().manual_seed(0),
    )
    found = [network(batch.to(fitting.device)).cpu() for batch in loader]
    return torch.cat(found).numpy()
