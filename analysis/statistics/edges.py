"""The weight of each edge over samples: of single edges, and of groups of them."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection, StageEdges

BLOCK = 2**20
"""Weights in memory at a time, 8 MB: tables read all samples of a few edges."""

GROUPS = {
    "stage": [],
    "source": ["source"],
    "target": ["target"],
    "distance": ["distance"],
    "edge": ["source", "target"],
}
"""Which edges of a stage are one group, and the columns that name it. The distance is
the target's number minus the source's."""


def group_keys(by: str) -> list[str]:
    """Returns the columns that name a group of edges, a name of ``GROUPS``."""
    if by not in GROUPS:
        raise DataError(f"by must be {', '.join(GROUPS)}, got {by!r}")
    return ["stage", *GROUPS[by]]


def check_weighted(collection: Collection, name: str | None = None) -> None:
    """Checks that a collection, by default named by its folder, has weighted edges.

    Raises:
        DataError: If every edge is constant.
    """
    if all(stage.constant.all() for stage in collection.stages):
        name = name or str(collection.folder or "the collection")
        raise DataError(
            f"this needs edges that carry weights, all of {name} are constant"
        )


def edge_rows(
    collection: Collection,
    place: int,
    chosen: Int[np.ndarray, " rows"],
    columns: Mapping[str, Any] | pd.DataFrame,
) -> pd.DataFrame:
    """Returns a row for each chosen edge of a stage: its ends, then the columns."""
    source, target = collection.stages[place].edges[chosen].T
    ends = {"stage": place + 1, "source": source, "target": target}
    return pd.DataFrame({**ends, **columns})


def weighted_edges(collection: Collection, place: int) -> Int[np.ndarray, " weighted"]:
    """Returns the places of a stage's edges that carry weights."""
    return np.flatnonzero(~collection.stages[place].constant)


def edge_blocks(
    collection: Collection, place: int, edges: Int[np.ndarray, " edges"]
) -> Iterator[tuple[slice, Float[np.ndarray, "samples block"]]]:
    """Yields a part of some edges of a stage and their weights, in float64.

    Few edges at a time, and all samples of each.
    """
    step = max(1, BLOCK // max(1, collection.samples))
    for start in range(0, len(edges), step):
        part = slice(start, start + step)
        yield part, collection.weights(place)[:, edges[part]].astype(np.float64)


def moments(values: Float[np.ndarray, "samples ..."]) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and variance, of the population, over the first axis.

    What never changes has exactly no variance.

    Example:
        >>> [each.tolist() for each in moments(np.array([[0.7, 1.0], [0.7, 3.0]]))]
        [[0.7, 2.0], [0.0, 1.0]]
    """
    off = values - values[0]
    return values[0] + off.mean(0), off.var(0)


def edge_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each edge of each stage: its weight over samples.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``constant``, ``mean``, ``std`` (of
        the population), ``min``, ``max``, ``open`` (share of samples in which it is
        not 0).

    Source:
        Figures 4 and 5 of the DDW paper.
    """
    tables = []
    for place, stage in enumerate(collection.stages):
        edges = np.arange(len(stage.edges))
        for part, weights in edge_blocks(collection, place, edges):
            mean, variance = moments(weights)
            columns = {
                "constant": stage.constant[part],
                "mean": mean,
                "std": np.sqrt(variance),
                "min": weights.min(0),
                "max": weights.max(0),
                "open": (weights != 0).mean(0),
            }
            tables.append(edge_rows(collection, place, edges[part], columns))
    return pd.concat(tables, ignore_index=True)


def weight_table(collection: Collection, *, by: str = "stage") -> pd.DataFrame:
    """Returns a row for each group of a stage's edges: their weights over samples.

    Args:
        collection: Weights of samples; constant edges are left out.
        by: Which edges are one group, a name of ``GROUPS``.

    Returns:
        Columns ``stage``, those that ``GROUPS`` names, ``edges`` (their number),
        ``mean`` (of their means), ``std`` (mean of their standard deviations over
        samples), ``std_edges`` (standard deviation of their means), ``open`` (mean
        share of samples).

    Raises:
        DataError: If ``by`` is unknown.
    """
    keys, edges = group_keys(by), edge_table(collection)
    edges["distance"] = edges["target"] - edges["source"]
    return (
        edges[~edges["constant"]]
        .groupby(keys)
        .agg(
            edges=("mean", "size"),
            mean=("mean", "mean"),
            std=("std", "mean"),
            std_edges=("mean", lambda means: means.std(ddof=0)),
            open=("open", "mean"),
        )
        .reset_index()
    )


def edge_matrix(
    stage: StageEdges, values: Float[np.ndarray, " weighted"]
) -> Float[np.ndarray, "nodes nodes"]:
    """Returns values of a stage's weighted edges as a matrix: rows are targets.

    Entries without an edge, and constant edges, are NaN.
    """
    matrix = np.full((stage.nodes, stage.nodes), np.nan)
    source, target = stage.edges[~stage.constant].T
    matrix[target, source] = values
    return matrix
