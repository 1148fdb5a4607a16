"""The weight of each edge over samples: of edges, stages and depths."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection, StageEdges
from ddw_graph.wiring.description import longest_path_layers

BLOCK = 2**20
"""Weights in memory at a time, 8 MB: tables read all samples of a few edges."""


def check_weighted(collection: Collection, name: str | None = None) -> None:
    """Checks that a collection has edges that carry weights.

    Args:
        collection: Weights of samples.
        name: What the message calls it; by default its folder.

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
    """Returns a row for each chosen edge of a stage: stage, source, target, columns."""
    source, target = collection.stages[place].edges[chosen].T
    ends = {"stage": place + 1, "source": source, "target": target}
    return pd.DataFrame({**ends, **columns})


def weighted_edges(collection: Collection, place: int) -> Int[np.ndarray, " weighted"]:
    """Returns the places of a stage's edges that carry weights."""
    return np.flatnonzero(~collection.stages[place].constant)


def edge_blocks(
    collection: Collection, place: int, edges: Int[np.ndarray, " edges"]
) -> Iterator[tuple[slice, Float[np.ndarray, "samples block"]]]:
    """Yields the weights of a few edges at a time, in float64, all samples of each.

    Args:
        collection: Weights of samples.
        place: Which stage, from 0.
        edges: The places of the edges; each slice is a part of these.
    """
    step = max(1, BLOCK // max(1, collection.samples))
    for start in range(0, len(edges), step):
        part = slice(start, start + step)
        yield part, collection.weights(place)[:, edges[part]].astype(np.float64)


def edge_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each edge of each stage: its weight over samples.

    Stages count from 1.

    Args:
        collection: Weights of samples, from ``open_collection`` or ``collection_of``.

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
            # From the first sample, so that an edge that never changes has no variance.
            off = weights - weights[0]
            columns = {
                "constant": stage.constant[part],
                "mean": weights[0] + off.mean(0),
                "std": off.std(0),
                "min": weights.min(0),
                "max": weights.max(0),
                "open": (weights != 0).mean(0),
            }
            tables.append(edge_rows(collection, place, edges[part], columns))
    return pd.concat(tables, ignore_index=True)


def stage_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each stage: its weighted edges together.

    Args:
        collection: Weights of samples; constant edges are left out.

    Returns:
        Columns ``stage``, ``edges`` (that carry weights), ``mean`` (of their means),
        ``std`` (mean of their standard deviations over samples), ``spread`` (standard
        deviation of their means), ``open`` (mean share of samples).
    """
    return _grouped(edge_table(collection), ["stage"])


def node_table(collection: Collection, *, by: str) -> pd.DataFrame:
    """Returns a row for each source, target or distance of edges in each stage.

    Args:
        collection: Weights of samples; constant edges are left out.
        by: ``source`` or ``target``, a node; or ``distance``: the target's number less
            the source's.

    Returns:
        Columns ``stage``, ``source``, ``target`` or ``distance``, and those of
        ``stage_table``.
    """
    edges = edge_table(collection)
    distance = edges["target"] - edges["source"]
    return _grouped(edges.assign(distance=distance), ["stage", by])


def _grouped(edges: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Returns the weighted edges of ``edge_table`` in groups."""
    groups = edges[~edges["constant"]].groupby(by)
    return groups.agg(
        edges=("mean", "size"),
        mean=("mean", "mean"),
        std=("std", "mean"),
        spread=("mean", lambda means: means.std(ddof=0)),
        open=("open", "mean"),
    ).reset_index()


def depth_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each depth of source and target in each stage.

    A node's depth is the number of edges on the longest path from the input to it.

    Args:
        collection: Weights of samples; constant edges are left out.

    Returns:
        Columns ``stage``, ``source_depth``, ``target_depth``, and those of
        ``stage_table``.
    """
    edges = edge_table(collection)
    depths = [longest_path_layers(stage.dag()) for stage in collection.stages]
    for end in ("source", "target"):
        edges[f"{end}_depth"] = [
            depths[stage - 1][node]
            for stage, node in zip(edges["stage"], edges[end], strict=True)
        ]
    return _grouped(edges, ["stage", "source_depth", "target_depth"])


def write_edge_table(collection: Collection) -> None:
    """Writes the table of ``edge_table`` into the collection's folder."""
    assert collection.folder is not None, "the collection lies in a folder"
    path, table = collection.folder / "edges.csv", edge_table(collection)
    write_bytes(path, [table.to_csv(index=False).encode()], overwrite=True)


def edge_matrix(
    stage: StageEdges, values: Float[np.ndarray, " weighted"]
) -> Float[np.ndarray, "nodes nodes"]:
    """Returns values of a stage's weighted edges as a matrix: rows are targets.

    Entries without an edge, and constant edges, are NaN.

    Args:
        stage: The stage.
        values: A number for each weighted edge.
    """
    matrix = np.full((stage.nodes, stage.nodes), np.nan)
    source, target = stage.edges[~stage.constant].T
    matrix[target, source] = values
    return matrix


def weight_histogram(
    collection: Collection, stage: int, bins: Float[np.ndarray, " bounds"]
) -> Float[np.ndarray, " bins"]:
    """Returns the share of all weights of a stage's weighted edges in each bin.

    Args:
        collection: Weights of samples.
        stage: Which stage, from 0.
        bins: Bounds of the bins, ascending; weights outside them are not counted.
    """
    edges = weighted_edges(collection, stage)
    counts = np.zeros(len(bins) - 1)
    for _, weights in edge_blocks(collection, stage, edges):
        counts += np.histogram(weights, bins)[0]
    return counts / max(len(edges) * collection.samples, 1)
