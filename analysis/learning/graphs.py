"""Wirings as graphs of PyTorch Geometric."""

from collections.abc import Sequence
from copy import copy

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data  # slow to import: seconds

from ddw_graph.errors import DataError
from ddw_graph.training.collecting import collection_of
from ddw_graph.training.collection import Collection, StageEdges

NODE_FEATURES = ("place", "in_degree", "out_degree", "input", "output", "stage")
"""Columns of ``x``: place in the topological order, from 0 to 1; number of incoming and
outgoing edges; whether it is the input, the output; place of its stage, from 0 to 1."""


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
    return _graphs(collection_of(adjacency, model), labels)


def collection_graphs(collection: Collection) -> list[Data]:
    """Returns a graph for each sample of a collection, as ``to_pyg`` does.

    Raises:
        DataError: If the samples' labels are not known.
    """
    return _graphs(collection, collection.column("label"))


def _graphs(
    collection: Collection, labels: Tensor | np.ndarray | Sequence[float] | None
) -> list[Data]:
    """Returns a graph for each sample: what they share, and each one's weights."""
    y = None if labels is None else torch.as_tensor(labels).cpu()
    if y is not None and y.shape != (collection.samples,):
        raise DataError(
            f"labels must be one for each of {collection.samples} samples, got the "
            f"shape {tuple(y.shape)}"
        )
    shared = _structure(collection.stages)
    graphs = []
    for sample, row in enumerate(torch.from_numpy(collection.rows()).float()):
        graph = copy(shared)
        graph.edge_weight = row.clone()
        graph.edge_attr = torch.stack([row, shared.edge_constant.float()], 1)
        graph.sample = torch.tensor([sample])
        if y is not None:
            graph.y = y[sample].reshape(1).clone()
        graphs.append(graph)
    return graphs


def _structure(stages: Sequence[StageEdges]) -> Data:
    """Returns what the graphs of a network have in common."""
    sizes = np.array([stage.nodes for stage in stages])
    starts = sizes.cumsum() - sizes
    ends = [stage.edges + start for stage, start in zip(stages, starts, strict=True)]
    source, target = np.concatenate(ends).T
    place = np.repeat(np.arange(len(sizes)), sizes)
    node = np.arange(len(place)) - starts[place]
    last = sizes[place] - 1
    features = (
        node / last,
        np.bincount(target, minlength=len(node)),
        np.bincount(source, minlength=len(node)),
        node == 0,
        node == last,
        place / max(len(sizes) - 1, 1),
    )
    constant = np.concatenate([stage.constant for stage in stages])
    return Data(
        x=torch.from_numpy(np.stack(features, 1).astype(np.float32)),
        edge_index=torch.from_numpy(np.stack([source, target])),
        edge_constant=torch.from_numpy(constant),
        node=torch.from_numpy(node),
        node_stage=torch.from_numpy(place),
    )
