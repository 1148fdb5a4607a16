"""How much information the states of edges have on the class of a sample."""

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from ddw_graph.analysis.statistics.edges import edge_rows, weighted_edges
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

MOST_LEVELS = 256
"""Levels of an open edge; more would separate single samples, and fill the memory."""

Counts = Int[np.ndarray, "states classes"]


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
    tables = []
    for place, stage in enumerate(collection.stages):
        weighted = ~stage.constant
        edges = weighted_edges(collection, place)
        low, high = _open_range(collection, place, weighted)
        width = (high - low) / levels
        counts = np.zeros(
            (len(edges), levels + 1, len(collection.classes)), dtype=np.int64
        )
        each = np.arange(len(edges))
        for chunk, labels in collection.labelled_chunks(place):
            states = _states(chunk[:, weighted], low, width, levels)
            np.add.at(counts, (each, states, labels[:, None]), 1)
        columns = pd.DataFrame(map(_information, counts))
        tables.append(edge_rows(collection, place, edges, columns))
    return pd.concat(tables, ignore_index=True)


def _open_range(
    collection: Collection, place: int, weighted: Bool[np.ndarray, " edges"]
) -> tuple[Float[np.ndarray, " weighted"], Float[np.ndarray, " weighted"]]:
    """Returns the least and the largest weight that each edge has where it is open."""
    count = int(weighted.sum())
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    for chunk, _ in collection.labelled_chunks(place):
        weights = chunk[:, weighted]
        is_open = weights != 0
        low = np.minimum(low, np.where(is_open, weights, np.inf).min(0))
        high = np.maximum(high, np.where(is_open, weights, -np.inf).max(0))
    never = ~np.isfinite(low)
    return np.where(never, 0, low), np.where(never, 0, high)


def _states(
    weights: Float[np.ndarray, "samples edges"],
    low: Float[np.ndarray, " edges"],
    width: Float[np.ndarray, " edges"],
    levels: int,
) -> Int[np.ndarray, "samples edges"]:
    """Returns each weight's state: 0 for closed, then levels from 1."""
    level = np.zeros(weights.shape)
    np.divide(weights - low, width, out=level, where=width > 0)
    states: np.ndarray = np.clip(level.astype(np.int64), 0, levels - 1) + 1
    return np.where(weights == 0, 0, states)


def _information(counts: Counts) -> dict[str, float]:
    counts = counts[counts.any(1)][:, counts.any(0)]
    total = counts.sum()
    entropies = [entropy(counts.sum(1)), entropy(counts.sum(0)), entropy(counts)]
    free = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    return {
        "states": counts.shape[0],
        "entropy": entropies[0],
        # Of independent counts the sum is 0 but for rounding.
        "information": max(0.0, entropies[0] + entropies[1] - entropies[2]),
        "chance": float(free / (2 * total * np.log(2))),
    }


def entropy(counts: Int[np.ndarray, "..."]) -> float:
    """Returns the entropy of a distribution that was counted, bits.

    Example:
        >>> entropy(np.array([4, 4])), entropy(np.array([8, 0]))
        (1.0, 0.0)
    """
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0
