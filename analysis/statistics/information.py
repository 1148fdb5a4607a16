"""How much information the states of edges have on the class of a sample."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import entropy

from ddw_graph.analysis.statistics.edges import edge_blocks, edge_rows, weighted_edges
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

MOST_LEVELS = 256
"""Levels of an open edge; more would separate single samples, and fill the memory."""


def information_table(collection: Collection, *, levels: int = 8) -> pd.DataFrame:
    """Returns a row for each weighted edge: entropy of its state, and with the class.

    An edge is closed, or open at one of some levels of equal width between its least
    and its largest open weight. With one level the states are closed and open.

    Estimates from counts are too high where samples are few; ``chance`` is by how much
    that is so where state and class have nothing to do with each other, to first order.

    Args:
        collection: Weights of samples with labels.
        levels: How many levels, at least 1.

    Returns:
        Columns ``stage``, ``source``, ``target``, ``states`` (that occur), ``entropy``,
        ``information`` (mutual, of state and class) and ``chance``, all in bits.

    Raises:
        DataError: If ``levels`` is less than 1, or more than ``MOST_LEVELS``.

    Source:
        Bias: Miller 1955; Roulston 1999.
    """
    if not 1 <= levels <= MOST_LEVELS:
        raise DataError(f"levels must be in [1, {MOST_LEVELS}], got {levels}")
    labels, classes = collection.column("label"), len(collection.classes)
    tables = []
    for place in range(len(collection.stages)):
        edges = weighted_edges(collection, place)
        rows = []
        for _, block in edge_blocks(collection, place, edges):
            for weights in block.T:
                state = np.zeros(len(weights), np.int64)
                is_open = weights != 0
                state[is_open] = 1 + _levels(weights[is_open], levels)
                counts = np.bincount(
                    state * classes + labels, minlength=(levels + 1) * classes
                )
                rows.append(_information(counts.reshape(levels + 1, classes)))
        tables.append(edge_rows(collection, place, edges, pd.DataFrame(rows)))
    return pd.concat(tables, ignore_index=True)


def _levels(
    weights: Float[np.ndarray, " open"], levels: int
) -> Int[np.ndarray, " open"]:
    """Returns each weight's level, from 0, between the least and the largest."""
    span = np.ptp(weights) if len(weights) else 0.0
    if not span:
        return np.zeros(len(weights), np.int64)
    level = (weights - weights.min()) / (span / levels)
    states: np.ndarray = np.minimum(level.astype(np.int64), levels - 1)
    return states


def _information(counts: Int[np.ndarray, "states classes"]) -> dict[str, float]:
    """Returns the row of an edge from how often each state occurs in each class."""
    states, classes = (int(counts.any(axis).sum()) for axis in (1, 0))
    of_state, of_class, of_both = (
        float(entropy(each, base=2))
        for each in (counts.sum(1), counts.sum(0), counts.ravel())
    )
    free = (states - 1) * (classes - 1)
    return {
        "states": states,
        "entropy": of_state,
        # Of independent counts the sum is 0 but for rounding.
        "information": max(0.0, of_state + of_class - of_both),
        "chance": float(free / (2 * counts.sum() * np.log(2))),
    }
