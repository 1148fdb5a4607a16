"""How edge weights differ between classes."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from ddw_graph.analysis.statistics.edges import edge_blocks, edge_rows, weighted_edges
from ddw_graph.training.collection import Collection


class Moments(NamedTuple):
    """Samples of each class, and of each weighted edge in it mean and variance.

    The variance is that of the population. Without a sample they are 0.
    """

    samples: Int[np.ndarray, " classes"]
    mean: Float[np.ndarray, "classes edges"]
    variance: Float[np.ndarray, "classes edges"]


def class_moments(collection: Collection, stage: int) -> Moments:
    """Returns mean and variance of each weighted edge in each class.

    Args:
        collection: Weights of samples with labels.
        stage: Which stage, from 0.
    """
    labels = collection.column("label")
    edges = weighted_edges(collection, stage)
    count = np.bincount(labels, minlength=len(collection.classes))
    mean, variance = np.zeros((2, len(count), len(edges)))
    for part, weights in edge_blocks(collection, stage, edges):
        for label in np.flatnonzero(count):
            # From the first sample, so that an edge that never changes has no variance.
            off = weights[labels == label] - weights[0]
            mean[label, part] = weights[0] + off.mean(0)
            variance[label, part] = off.var(0)
    return Moments(count, mean, variance)


def class_offsets(moments: Moments) -> Float[np.ndarray, "classes edges"]:
    """Returns how the mean of each class is off from the mean of all samples.

    Exactly 0 where the means of all classes are the same. Classes without a sample have
    0 too.

    Args:
        moments: Those of ``class_moments``.
    """
    seen = moments.samples > 0
    # From one class's, so that equal means leave no rounding.
    off = moments.mean - moments.mean[seen][0]
    offsets: np.ndarray = off - moments.samples @ off / moments.samples.sum()
    return np.where(seen[:, None], offsets, 0)


def class_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each weighted edge and class.

    Args:
        collection: Weights of samples with labels.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``class`` (its name), ``samples``,
        ``mean``, ``std`` (of the population). Classes without a sample have no row.
    """
    tables = []
    for place in range(len(collection.stages)):
        moments = class_moments(collection, place)
        (seen,) = np.nonzero(moments.samples)
        edges = weighted_edges(collection, place)
        columns = {
            "class": np.tile(np.array(collection.classes)[seen], len(edges)),
            "samples": np.tile(moments.samples[seen], len(edges)),
            "mean": moments.mean[seen].T.ravel(),
            "std": np.sqrt(moments.variance[seen]).T.ravel(),
        }
        repeated = np.repeat(edges, len(seen))
        tables.append(edge_rows(collection, place, repeated, columns))
    return pd.concat(tables, ignore_index=True)


def class_share_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each weighted edge: its variance between classes.

    A share does not show size; ``std`` does.

    Args:
        collection: Weights of samples with labels.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``std`` (over all samples),
        ``class_share`` (eta squared, NaN where the weight never changes), ``chance``
        (the share that classes drawn at random would have).
    """
    tables = []
    for place in range(len(collection.stages)):
        moments = class_moments(collection, place)
        share = moments.samples / collection.samples
        between = share @ class_offsets(moments) ** 2
        total = between + share @ moments.variance
        columns = {
            "std": np.sqrt(total),
            "class_share": pd.Series(between) / total,
            "chance": (np.count_nonzero(moments.samples) - 1)
            / max(collection.samples - 1, 1),
        }
        edges = weighted_edges(collection, place)
        tables.append(edge_rows(collection, place, edges, columns))
    return pd.concat(tables, ignore_index=True)


def class_distance_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each pair of classes: how far apart their mean wirings are.

    Args:
        collection: Weights of samples with labels.

    Returns:
        Columns ``class``, ``other``, ``distance`` (root mean square over all weighted
        edges of the difference of their means), ``correlation`` (over edges, of how
        the two deviate from the mean of all samples; NaN where one does not). Each pair
        once, and each class with itself.
    """
    moments = [class_moments(collection, k) for k in range(len(collection.stages))]
    count = moments[0].samples
    (seen,) = np.nonzero(count)
    means = np.hstack([each.mean for each in moments])[seen]
    off = np.hstack([class_offsets(each) for each in moments])[seen]
    rows = []
    for i, one in enumerate(seen):
        for j, other in enumerate(seen[i:], start=i):
            sizes = np.linalg.norm(off[i]) * np.linalg.norm(off[j])
            rows.append(
                {
                    "class": collection.classes[one],
                    "other": collection.classes[other],
                    "distance": np.sqrt(((means[i] - means[j]) ** 2).mean()),
                    "correlation": off[i] @ off[j] / sizes if sizes else np.nan,
                }
            )
    return pd.DataFrame(rows)
