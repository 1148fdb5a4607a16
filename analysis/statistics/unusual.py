"""How far a sample's wiring is from those of its class."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from ddw_graph.analysis.collect import sample_table
from ddw_graph.analysis.statistics.classes import class_moments
from ddw_graph.analysis.statistics.edges import edge_blocks, weighted_edges
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

RESOLUTION = float(np.finfo(np.float32).eps)
"""The resolution of weights, as a part of their size."""


def unusualness(collection: Collection) -> Float[np.ndarray, " samples"]:
    """Returns how far each sample's wiring is from the mean one of its class.

    Root mean square, over the weighted edges of all stages whose weight varies within
    classes, of the difference in units of the edge's standard deviation within classes:
    1 is usual. A plain distance would be decided by the few edges that vary most in
    size, and could not be compared between two networks, whose weights have different
    scales. What varies by no more than the resolution of float32 does not vary; where
    no edge varies, all samples have 0, as the only sample of a class does.

    Args:
        collection: Weights of samples with labels.
    """
    total = np.zeros(collection.samples)
    edges = 0
    labels = collection.column("label")
    for place in range(len(collection.stages)):
        moments = class_moments(collection, place)
        share = moments.samples / collection.samples
        mean, deviation = moments.mean, np.sqrt(share @ moments.variance)
        varies = deviation > RESOLUTION * np.abs(share @ mean)
        edges += int(varies.sum())
        mean, deviation = mean[:, varies], deviation[varies]
        columns = weighted_edges(collection, place)[varies]
        for part, weights in edge_blocks(collection, place, columns):
            off = (weights - mean[labels, part]) / deviation[part]
            total += (off**2).sum(1)
    return np.sqrt(total / max(edges, 1))


def unusual_table(collection: Collection, *, count: int | None = None) -> pd.DataFrame:
    """Returns the samples, the most unusual wirings first.

    Args:
        collection: Weights of samples with labels.
        count: How many; by default all.

    Returns:
        Columns ``sample`` (its row, from 0), ``unusualness``, ``label`` and
        ``prediction`` (names of classes), ``loss``, ``expected_macs``.

    Raises:
        DataError: If no weight varies within classes.
    """
    far = unusualness(collection)
    if not far.any():
        raise DataError(
            "unusual wirings need weights that differ between samples of a class, got "
            "none"
        )
    table = sample_table(collection)
    table.insert(1, "unusualness", far)
    ordered = table.sort_values("unusualness", ascending=False, kind="stable")
    return ordered.head(count or len(table)).reset_index(drop=True)
