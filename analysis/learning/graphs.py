"""Wirings as graphs of PyTorch Geometric."""

from collections.abc import Iterable, Sequence
from copy import copy

import networkx as nx
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch_geometric.data import Data  # slow to import: seconds

from ddw_graph.errors import DataError
from ddw_graph.training.collection import (
    Collection,
    StageEdges,
    sample_weights,
    stage_adjacencies,
)
from ddw_graph.wiring import edge_list

NODE_FEATURES = ("place", "in_degree", "out_degree", "input", "output", "stage")
"""Columns of ``x``: place in the topological order, from 0 to 1; number of incoming and
outgoing edges; whether it is the input, the output; place of its stage, from 0 to 1."""

Edges = Int[np.ndarray, "_ 2"]
Labels = Int[np.ndarray, " samples"]


def to_pyg(
    adjacency: Tensor | Sequence[Tensor],
    model: nn.Module,
    *,
    labels: Tensor | Sequence[float] | None = None,
) -> list[Data]:
    """Returns a graph for each sample of an adjacency that a network returned.

    All stages are in one graph, with no edge between them, so that a sample has one
    label. Closed edges have weight 0. Weights that differ by channel or position are
    averaged. The graphs of a batch share what samples have in common: nodes and edges.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.
        labels: A label for each sample, which becomes the graph's ``y``.

    Returns:
        Graphs with ``x`` (``NODE_FEATURES``), ``edge_index`` (sources above targets),
        ``edge_weight``, ``edge_constant`` (whether the weight is a constant of the
        wiring), ``edge_attr`` (both), ``node`` and ``node_stage`` (number in the stage
        and of the stage, from 0), ``sample`` (place in the batch) and, with labels,
        ``y``.

    Raises:
        ModelError: If the adjacency does not fit the model's stages.
        DataError: If there is not one label for each sample.

    Example:
        >>> from ddw_graph import Stage, generators
        >>> stage = Stage(generators.complete(1), 8, 8, edges="learned")
        >>> _, adjacency = stage(torch.zeros(2, 8, 4, 4), return_adjacency=True)
        >>> graphs = to_pyg(adjacency, stage, labels=[3, 7])
        >>> graphs[1].edge_index, graphs[1].y
        (tensor([[0, 0, 1],
                [1, 2, 2]]), tensor([7]))
    """
    pairs = stage_adjacencies(adjacency, model)
    weights = [sample_weights(matrix, stage.plan).cpu() for stage, matrix in pairs]
    stages = [StageEdges.of(stage) for stage, _ in pairs]
    shared = _structure((s.nodes, s.edges, s.constant) for s in stages)
    return _weighted(shared, torch.cat(weights, 1).numpy(), labels)


def collection_graphs(collection: Collection) -> list[Data]:
    """Returns a graph for each sample of a collection, as ``to_pyg`` does.

    Raises:
        DataError: If an array or the table of samples is damaged.
    """
    shared = _structure((s.nodes, s.edges, s.constant) for s in collection.stages)
    labels, _ = labels_and_predictions(collection)
    return _weighted(shared, collection.rows(), labels)


def labels_and_predictions(collection: Collection) -> tuple[Labels, Labels]:
    """Returns each sample's class, and the class that the network predicted."""
    return collection.column("label"), collection.column("prediction")


def wirings_graph(wirings: Iterable[nx.DiGraph]) -> Data:
    """Returns a network's wirings as one graph, every edge a constant 1.

    Example:
        >>> from ddw_graph.generators import vgg
        >>> wirings_graph([vgg(1), vgg(2)]).num_edges
        5
    """
    edges = [(len(dag), np.array(edge_list(dag))) for dag in wirings]
    shared = _structure((n, own, np.ones(len(own), np.bool_)) for n, own in edges)
    (graph,) = _weighted(shared, np.ones((1, shared.num_edges)), None)
    return graph


def _structure(stages: Iterable[tuple[int, Edges, Bool[np.ndarray, " _"]]]) -> Data:
    """Returns what the graphs of a network have in common.

    Args:
        stages: N, the edges, and whether each edge is constant, for each stage.
    """
    sizes, edges, constant = zip(*stages, strict=True)
    starts = np.cumsum((0, *sizes))[:-1]
    source, target = np.concatenate(
        [own + start for own, start in zip(edges, starts, strict=True)]
    ).T
    stage = np.repeat(np.arange(len(sizes)), sizes)
    node = np.arange(len(stage)) - starts[stage]
    last = np.array(sizes)[stage] - 1
    features = (
        node / last,
        np.bincount(target, minlength=len(node)),
        np.bincount(source, minlength=len(node)),
        node == 0,
        node == last,
        stage / max(len(sizes) - 1, 1),
    )
    return Data(
        x=torch.from_numpy(np.stack(features, 1).astype(np.float32)),
        edge_index=torch.from_numpy(np.stack([source, target])),
        edge_constant=torch.from_numpy(np.concatenate(constant)),
        node=torch.from_numpy(node),
        node_stage=torch.from_numpy(stage),
    )


def _weighted(
    shared: Data,
    weights: Float[np.ndarray, "samples edges"],
    labels: Tensor | Labels | Sequence[float] | None,
) -> list[Data]:
    """Returns a graph for each sample: what they share, and each one's weights."""
    y = None if labels is None else torch.as_tensor(labels).cpu()
    if y is not None and y.shape != (len(weights),):
        raise DataError(
            f"labels must be one for each of {len(weights)} samples, got the shape "
            f"{tuple(y.shape)}"
        )
    graphs = []
    for sample, row in enumerate(torch.from_numpy(weights).float()):
        graph = copy(shared)
        graph.edge_weight = row.clone()
        graph.edge_attr = torch.stack([row, shared.edge_constant.float()], 1)
        graph.sample = torch.tensor([sample])
        if y is not None:
            graph.y = y[sample].reshape(1).clone()
        graphs.append(graph)
    return graphs
