"""An adjacency that a network returned as graphs of PyTorch Geometric."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from ddw_graph.analysis.learning.wiring_graph import sample_graph, stages_graph
from ddw_graph.errors import DataError
from ddw_graph.training.collection import collection_of


def to_pyg(
    adjacency: Tensor | Sequence[Tensor],
    model: nn.Module,
    *,
    labels: Tensor | Sequence[float] | None = None,
) -> list[Data]:
    """Returns a graph for each sample, as ``CollectionGraphs`` makes them.

    All stages are in one graph, with no edge between them, and closed edges have weight
    0; see ``stages_graph``. Weights that differ by channel or position are averaged.
    What samples have in common, nodes and edges, their graphs share.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.
        labels: A label for each sample, which becomes the graph's ``y``.

    Returns:
        Graphs with the attributes of ``stages_graph``, ``sample`` (the place in the
        batch) and, with labels, ``y``.

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
    collection = collection_of(adjacency, model)
    stages, samples = collection.stages, collection.samples
    weights = [array.astype(np.float32) for array in collection.arrays]
    known = None if labels is None else torch.as_tensor(labels).cpu()
    if known is not None and known.shape != (samples,):
        raise DataError(
            f"labels must be one for each of {samples} samples, got the shape "
            f"{tuple(known.shape)}"
        )
    shared = stages_graph(
        [stage.nodes for stage in stages],
        [stage.edges for stage in stages],
        [np.zeros(len(stage.edges), np.float32) for stage in stages],
        [stage.constant for stage in stages],
    )
    return [
        sample_graph(shared, weights, sample, None if known is None else known[sample])
        for sample in range(samples)
    ]
