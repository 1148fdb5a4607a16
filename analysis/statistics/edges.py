"""What the weight of each edge does over samples."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from ddw_graph.analysis.statistics.moments import Moments
from ddw_graph.atomic import write_bytes
from ddw_graph.training.collection import Collection

Matrix = Float[np.ndarray, "nodes nodes"]


def edge_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each edge of each stage: what its weight does over samples.

    One pass in bounded memory. Stages count from 1.

    Args:
        collection: What was collected.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``constant``, ``mean``, ``std`` (of
        the population), ``min``, ``max``, ``open`` (share of samples in which it is
        not 0).

    Source:
        Figures 4 and 5 of the DDW paper.
    """
    tables = []
    for place, stage in enumerate(collection.stages):
        edges = len(stage.edges)
        moments = Moments(1, edges)
        opened = np.zeros(edges)
        low, high = np.full(edges, np.inf), np.full(edges, -np.inf)
        for chunk in collection.chunks(place):
            moments.add(chunk, np.zeros(len(chunk), dtype=np.int64))
            opened += (chunk != 0).sum(0)
            low, high = np.minimum(low, chunk.min(0)), np.maximum(high, chunk.max(0))
        tables.append(
            pd.DataFrame(
                {
                    "stage": place + 1,
                    "source": stage.edges[:, 0],
                    "target": stage.edges[:, 1],
                    "constant": stage.constant,
                    "mean": moments.mean[0],
                    "std": np.sqrt(moments.variance[0]),
                    "min": low,
                    "max": high,
                    "open": opened / collection.samples,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def write_edge_table(collection: Collection) -> pd.DataFrame:
    """Writes the table of ``edge_table`` beside what it is of, and returns it."""
    table = edge_table(collection)
    path = collection.folder / "edges.csv"
    write_bytes(path, [table.to_csv(index=False).encode()], overwrite=True)
    return table


def stage_table(edges: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each stage: its weighted edges together.

    Args:
        edges: A table of ``edge_table``; constant edges are left out.

    Returns:
        Columns ``stage``, ``edges`` (that carry weights), ``mean`` (of their means),
        ``std`` (mean of their deviations over samples), ``spread`` (deviation of their
        means), ``open`` (mean share of samples).
    """
    groups = edges[~edges["constant"]].groupby("stage")
    return pd.DataFrame(
        {
            "edges": groups.size(),
            "mean": groups["mean"].mean(),
            "std": groups["std"].mean(),
            "spread": groups["mean"].std(ddof=0),
            "open": groups["open"].mean(),
        }
    ).reset_index()


def edge_matrix(edges: pd.DataFrame, stage: int, column: str, nodes: int) -> Matrix:
    """Returns one column of a stage's edges as a matrix, rows hearing columns.

    Entries without an edge, and constant edges, are NaN.

    Args:
        edges: A table of ``edge_table``.
        stage: Which stage, from 1.
        column: Which column.
        nodes: N of the stage.
    """
    matrix = np.full((nodes, nodes), np.nan)
    chosen = edges[(edges["stage"] == stage) & ~edges["constant"]]
    matrix[chosen["target"], chosen["source"]] = chosen[column]
    return matrix


def weight_histogram(
    collection: Collection, stage: int, bins: Float[np.ndarray, " bounds"]
) -> Float[np.ndarray, " bins"]:
    """Returns the share of all weights of a stage's weighted edges in each bin.

    Args:
        collection: What was collected.
        stage: Which stage, from 0.
        bins: Bounds of the bins, ascending; weights outside them are not counted.
    """
    weighted = ~collection.stages[stage].constant
    counts = np.zeros(len(bins) - 1)
    total = 0
    for chunk in collection.chunks(stage):
        values = chunk[:, weighted]
        counts += np.histogram(values, bins)[0]
        total += values.size
    return counts / max(total, 1)
