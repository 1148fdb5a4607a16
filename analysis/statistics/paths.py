"""The paths that a sample takes through a stage."""

from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Float

from ddw_graph.analysis.closing import closed_below
from ddw_graph.training.collection import Collection, StageEdges


def path_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each sample and stage: which paths it takes.

    A path leads from input to output over open edges; it carries the product of the
    sizes of their weights. What operations compute is not considered.

    Returns:
        Columns ``sample`` (its row, from 0), ``stage``, ``open_edges``, ``alive_nodes``
        (that compute), ``open_paths``, ``depth`` (effective: edges on a path,
        averaged over all paths, weighted by what they carry), ``longest`` (edges on
        the longest open path), ``dominant`` (nodes of the path that carries most),
        ``share`` (of all that paths carry, the part of that one).
    """
    tables = []
    for place, stage in enumerate(collection.stages):
        chunks = map(partial(stage_paths, stage), collection.chunks(place))
        table = pd.concat(chunks, ignore_index=True)
        table.insert(0, "sample", table.index)
        table.insert(1, "stage", place + 1)
        tables.append(table)
    return pd.concat(tables, ignore_index=True)


def dominant_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each dominant path of each stage, the most frequent first.

    Returns:
        Columns ``stage``, ``dominant``, ``samples``, ``part`` (of all samples),
        ``share`` (mean over these samples of what the path carries of all).
    """
    groups = path_table(collection).groupby(["stage", "dominant"])["share"]
    table = groups.agg(samples="size", share="mean").reset_index()
    total = table.groupby("stage")["samples"].transform("sum")
    table.insert(3, "part", table["samples"] / total)
    order = ["stage", "samples", "dominant"]
    return table.sort_values(order, ascending=[True, False, True], ignore_index=True)


def stage_paths(
    stage: StageEdges, weights: Float[np.ndarray, "samples edges"]
) -> pd.DataFrame:
    """Returns a row for each sample, with the columns of ``path_table``.

    One pass over the edges in topological order.

    Args:
        stage: The edges of the stage.
        weights: What each edge weighs for each sample.

    Example:
        >>> edges = np.array([(0, 1), (0, 2), (1, 2)])
        >>> none, ones = np.zeros(3, bool), np.ones(3, int)
        >>> stage = StageEdges(3, edges, none, ones, ones)
        >>> stage_paths(stage, np.array([[0.5, 0.25, 0.5]]))[["depth", "share"]]
           depth  share
        0    1.5    0.5
    """
    samples = len(weights)
    sizes = np.abs(weights)
    left = closed_below(stage, weights, 0)
    shape = (samples, stage.nodes)
    count, carried, length, best = (np.zeros(shape) for _ in range(4))
    longest = np.full(shape, -1)
    before = np.zeros(shape, dtype=np.int64)
    count[:, 0] = carried[:, 0] = best[:, 0] = 1
    longest[:, 0] = 0
    # By target: what a node is sent is known when its own output edges come.
    for edge in np.lexsort((stage.edges[:, 0], stage.edges[:, 1])):
        i, j = stage.edges[edge]
        is_open, size = left.open[:, edge], sizes[:, edge] * left.open[:, edge]
        count[:, j] += is_open * count[:, i]
        carried[:, j] += size * carried[:, i]
        length[:, j] += size * (length[:, i] + carried[:, i])
        reached = np.where(is_open & (longest[:, i] >= 0), longest[:, i] + 1, -1)
        longest[:, j] = np.maximum(longest[:, j], reached)
        stronger = size * best[:, i] > best[:, j]
        best[:, j] = np.where(stronger, size * best[:, i], best[:, j])
        before[:, j] = np.where(stronger, i, before[:, j])
    whole = pd.Series(carried[:, -1])  # of which pandas makes NaN where it is 0
    return pd.DataFrame(
        {
            "open_edges": left.open.sum(1),
            "alive_nodes": left.alive[:, 1:-1].sum(1),
            "open_paths": count[:, -1],
            "depth": length[:, -1] / whole,
            "longest": longest[:, -1],
            "dominant": _traced(before, best[:, -1] > 0),
            "share": best[:, -1] / whole,
        }
    )


def _traced(before: np.ndarray, reaches: np.ndarray) -> list[str]:
    """Returns the nodes of each sample's path, from the last one back, as text."""
    names = {}
    texts = []
    for row, reached in zip(before, reaches, strict=True):
        # Samples share their paths: each is written once.
        key = row.tobytes()
        if key not in names:
            nodes = [len(row) - 1]
            while nodes[-1]:
                nodes.append(int(row[nodes[-1]]))
            names[key] = "-".join(map(str, reversed(nodes)))
        texts.append(names[key] if reached else "")
    return texts
