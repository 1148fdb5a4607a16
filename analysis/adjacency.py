"""The weights of edges in an adjacency that a network returned, as a table."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import Tensor, nn

from ddw_graph.analysis.statistics.positions import position_axes
from ddw_graph.nn import features
from ddw_graph.nn.plan import StagePlan
from ddw_graph.training.collecting import stage_adjacencies
from ddw_graph.training.position_writer import edge_weights


def adjacency_frame(
    adjacency: Tensor | Sequence[Tensor], model: nn.Module, *, by_sample: bool = True
) -> pd.DataFrame:
    """Returns a row for each edge of each stage and sample.

    Rows are sorted by sample, stage, source and target. A closed edge has a row, with
    weight 0.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.
        by_sample: Whether weights that differ by channel or position are averaged to
            one for each sample. Otherwise each has a row, with its indices on the axes
            that have more than one element.

    Returns:
        Columns ``sample`` (from 0), ``stage`` (from 1), ``source``, ``target`` and
        ``weight``. Without ``by_sample`` the axes' columns precede ``weight``:
        ``channel``, and ``position``, or ``height`` and ``width``, or ``position_1``,
        ``position_2``, ...; NA in a stage whose weights do not differ along the axis.

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
    keys, weights = [], []
    for place, (stage, matrix) in enumerate(
        stage_adjacencies(adjacency, model), start=1
    ):
        values = edge_weights(matrix, stage.plan)
        if by_sample:
            values = features.by_sample(values)
        keys.append(_keys(place, stage.plan, values.shape[2:]))
        weights.append(values.flatten(1).cpu().numpy())
    key = pd.concat(keys, ignore_index=True)
    samples = len(weights[0])
    frame = key.take(np.tile(np.arange(len(key)), samples)).reset_index(drop=True)
    frame.insert(0, "sample", np.repeat(np.arange(samples), len(key)))
    return frame.assign(weight=np.concatenate(weights, 1).ravel())


def _keys(place: int, plan: StagePlan, sizes: Sequence[int]) -> pd.DataFrame:
    """Returns a row for each weight of one sample of a stage: what it belongs to."""
    edge, *indices = np.indices((len(plan.edges), *sizes)).reshape(1 + len(sizes), -1)
    source, target = np.array(plan.edges).T
    frame = pd.DataFrame({"stage": place, "source": source[edge]})
    frame["target"] = target[edge]
    for name, size, index in zip(_axes(plan, len(sizes)), sizes, indices, strict=True):
        if size > 1:
            # A type that knows NA, for stages without this axis.
            frame[name] = pd.array(index, dtype="Int64")
    return frame


def _axes(plan: StagePlan, count: int) -> list[str]:
    """Returns the names of a feature's axes after the batch."""
    if not count:
        return []
    channel, positions = ["channel"], position_axes(count - 1)
    return channel + positions if plan.channel_axis == 1 else positions + channel
