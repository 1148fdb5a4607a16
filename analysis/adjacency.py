"""The weights of edges in an adjacency that a network returned, as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ddw_graph.training.collecting import collection_of


def adjacency_frame(
    adjacency: Tensor | Sequence[Tensor], model: nn.Module
) -> pd.DataFrame:
    """Returns a row for each edge of each stage and sample.

    Rows are sorted by sample, stage, source and target. A closed edge has a row, with
    weight 0. Weights that differ by channel or position are averaged.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.

    Returns:
        Columns ``sample`` (from 0), ``stage`` (from 1), ``source``, ``target`` and
        ``weight``.

    Raises:
        ModelError: If the adjacency does not fit the model's stages.

    Example:
        >>> import torch
        >>> from ddw_graph import Stage, generators
        >>> stage = Stage(generators.complete(1), 8, 8, edges="learned")
        >>> _, adjacency = stage(torch.zeros(2, 8, 4, 4), return_adjacency=True)
        >>> print(adjacency_frame(adjacency, stage))
           sample  stage  source  target  weight
        0       0      1       0       1     0.5
        1       0      1       0       2     0.5
        2       0      1       1       2     0.5
        3       1      1       0       1     0.5
        4       1      1       0       2     0.5
        5       1      1       1       2     0.5
    """
    collection = collection_of(adjacency, model)
    ends = [
        (place, source, target)
        for place, stage in enumerate(collection.stages, start=1)
        for source, target in stage.edges.tolist()
    ]
    keys = pd.DataFrame(ends, columns=["stage", "source", "target"])
    samples = collection.samples
    frame = keys.take(np.tile(np.arange(len(keys)), samples)).reset_index(drop=True)
    frame.insert(0, "sample", np.repeat(np.arange(samples), len(keys)))
    return frame.assign(weight=collection.rows().ravel())
