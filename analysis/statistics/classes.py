"""How edge weights differ between classes, and what they reveal of the class."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import entropy

from ddw_graph.analysis.statistics.edges import (
    edge_blocks,
    edge_rows,
    moments,
    weighted_edges,
)
from ddw_graph.training.collection import Collection

LEVELS = 8
"""Levels of equal width between an edge's least and its largest open weight."""


class ClassMoments(NamedTuple):
    """Samples of each class, and of each weighted edge in it mean and variance.

    The variance is that of the population. Without a sample they are 0.
    """

    samples: Int[np.ndarray, " classes"]
    mean: Float[np.ndarray, "classes edges"]
    variance: Float[np.ndarray, "classes edges"]


def class_moments(collection: Collection, stage: int) -> ClassMoments:
    """Returns mean and variance of each weighted edge of a stage in each class."""
    labels = collection.column("label")
    edges = weighted_edges(collection, stage)
    count = np.bincount(labels, minlength=len(collection.classes))
    mean, variance = np.zeros((2, len(count), len(edges)))
    for part, weights in edge_blocks(collection, stage, edges):
        for label in np.flatnonzero(count):
            of_class = weights[labels == label]
            mean[label, part], variance[label, part] = moments(of_class)
    return ClassMoments(count, mean, variance)


def class_offsets(classes: ClassMoments) -> Float[np.ndarray, "classes edges"]:
    """Returns how the mean of each class differs from the mean of all samples.

    Exactly 0 where the means of all classes are the same, and for classes without a
    sample.
    """
    seen = classes.samples > 0
    # From one class's, so that equal means leave no rounding.
    off = classes.mean - classes.mean[seen][0]
    offsets: np.ndarray = off - classes.samples @ off / classes.samples.sum()
    return np.where(seen[:, None], offsets, 0)


def class_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each weighted edge and class.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``class`` (its name), ``samples``,
        ``mean``, ``std`` (of the population). Classes without a sample have no row.
    """
    tables = []
    for place in range(len(collection.stages)):
        classes = class_moments(collection, place)
        (seen,) = np.nonzero(classes.samples)
        edges = weighted_edges(collection, place)
        columns = {
            "class": np.tile(np.array(collection.classes)[seen], len(edges)),
            "samples": np.tile(classes.samples[seen], len(edges)),
            "mean": classes.mean[seen].T.ravel(),
            "std": np.sqrt(classes.variance[seen]).T.ravel(),
        }
        repeated = np.repeat(edges, len(seen))
        tables.append(edge_rows(collection, place, repeated, columns))
    return pd.concat(tables, ignore_index=True)


def information_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each weighted edge: what its weight reveals of the class.

    Two measures: the share of its variance that lies between classes, and the mutual
    information of class and state. An edge's state is closed, or open at one of
    ``LEVELS`` levels.

    Estimates are too high where samples are few; the columns of chance are what would
    be found on average if weight and class had nothing to do with each other (of the
    information to first order).

    Returns:
        Columns ``stage``, ``source``, ``target``, ``std`` (over all samples),
        ``class_share`` (eta squared, NaN where the weight never changes),
        ``share_chance``, ``states`` (that occur), ``entropy`` (of the state),
        ``information`` and ``information_chance``, in bits.

    Source:
        Chance: Miller 1955; Roulston 1999.
    """
    labels, classes = collection.column("label"), len(collection.classes)
    tables = []
    for place in range(len(collection.stages)):
        found = class_moments(collection, place)
        share = found.samples / collection.samples
        between = share @ class_offsets(found) ** 2
        total = between + share @ found.variance
        freedom = np.count_nonzero(found.samples) - 1
        columns = {
            "std": np.sqrt(total),
            "class_share": pd.Series(between) / total,
            "share_chance": freedom / max(collection.samples - 1, 1),
        }
        edges, rows = weighted_edges(collection, place), []
        for _, block in edge_blocks(collection, place, edges):
            for weights in block.T:
                states = _states(weights) * classes + labels
                counts = np.bincount(states, minlength=(LEVELS + 1) * classes)
                rows.append(_information(counts.reshape(LEVELS + 1, classes)))
        table = pd.DataFrame(columns).join(pd.DataFrame(rows))
        tables.append(edge_rows(collection, place, edges, table))
    return pd.concat(tables, ignore_index=True)


def _states(weights: Float[np.ndarray, " samples"]) -> Int[np.ndarray, " samples"]:
    """Returns 0 where an edge is closed, elsewhere the level of its weight, from 1."""
    states = np.zeros(len(weights), np.int64)
    is_open = weights != 0
    if is_open.any():
        found = weights[is_open]
        width = np.ptp(found) / LEVELS or 1.0
        level = ((found - found.min()) / width).astype(np.int64)
        states[is_open] = 1 + np.minimum(level, LEVELS - 1)
    return states


def _information(counts: Int[np.ndarray, "states classes"]) -> dict[str, float]:
    """Returns the row of an edge from how often each state occurs in each class."""
    states, classes = (int(counts.any(axis).sum()) for axis in (1, 0))
    of_state, of_class, of_both = (
        float(entropy(each, base=2))
        for each in (counts.sum(1), counts.sum(0), counts.ravel())
    )
    freedom = (states - 1) * (classes - 1)
    return {
        "states": states,
        "entropy": of_state,
        # Of independent counts the sum is 0 but for rounding.
        "information": max(0.0, of_state + of_class - of_both),
        "information_chance": float(freedom / (2 * counts.sum() * np.log(2))),
    }
