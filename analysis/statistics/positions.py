"""Weights by position: of edges or groups of edges, at positions and at tokens."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float

from ddw_graph.analysis.statistics.edges import (
    check_weighted,
    edge_rows,
    group_keys,
    weighted_edges,
)
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection


class Moments(NamedTuple):
    """Mean and variance of an edge's weights at each place."""

    mean: Float[np.ndarray, " places"]
    variance: Float[np.ndarray, " places"]


def position_table(collection: Collection, *, by: str = "stage") -> pd.DataFrame:
    """Returns a row for each group of a stage's edges at each position.

    Args:
        collection: A collection with weights by position; constant edges are left out,
            and stages whose weights do not differ by position.
        by: Which edges are one group, a name of ``GROUPS``.

    Returns:
        Columns ``stage``, those that ``GROUPS`` names, then ``position``, or ``height``
        and ``width`` (from 0), ``edges``, ``mean`` and ``std`` (of the population),
        over the kept samples and the group's edges.

    Raises:
        DataError: If the collection has no weights by position, or none differs.
    """

    def moments(weights: Float[np.ndarray, "samples places"]) -> Moments:
        # From the first sample, so that what never changes has no variance.
        off = weights - weights[0]
        return Moments(weights[0] + off.mean(0), off.var(0))

    tables = []
    for place in range(len(collection.stages)):
        sizes = collection.positions(place).shape[2:]
        if sizes and len(weighted_edges(collection, place)):
            indices = np.indices(sizes).reshape(len(sizes), -1)
            axes = ["position"] if len(sizes) == 1 else ["height", "width"]
            columns = dict(zip(axes, indices, strict=True))
            tables.append(_table(collection, place, by, moments, columns))
    if not tables:
        raise DataError(
            "this needs weights that differ by position, such as those of "
            "dynamic:per=position, attention or receiver; no stage's do"
        )
    return pd.concat(tables, ignore_index=True)


def token_table(
    collection: Collection, *, by: str = "stage", count: int = 20
) -> pd.DataFrame:
    """Returns a row for each group of a stage's edges at each of the commonest tokens.

    An edge's weight at a token is that at the positions at which the network was given
    the token. Weights that do not differ by position count at each position.

    Args:
        collection: A collection of tokens with weights by position; constant edges are
            left out.
        by: Which edges are one group; see ``position_table``.
        count: How many tokens, the most frequent ones in the kept samples.

    Returns:
        Columns ``stage``, those that ``GROUPS`` names, then ``token``, its ``text`` if
        it is known, ``count`` (positions at which it stands), ``edges``, ``mean`` and
        ``std`` (of the population), over these positions and the group's edges.

    Raises:
        DataError: If the collection has no weights by position, its samples are no
            tokens, a stage has other positions than they, or every edge is constant.
    """
    if count < 1:
        raise DataError(f"the number of tokens must be at least 1, got {count}")
    tokens = collection.by_position.tokens
    each, number = np.unique(tokens, return_counts=True)
    common = each[np.argsort(-number, kind="stable")[:count]]
    # Each position's place among the common tokens, and one behind them for the others.
    order = np.argsort(common)
    found = np.searchsorted(common[order], tokens.ravel()).clip(max=len(common) - 1)
    nth = np.where(common[order][found] == tokens.ravel(), order[found], len(common))
    columns = {"token": common}
    if collection.by_position.vocabulary:
        words = np.array(collection.by_position.vocabulary, dtype=object)
        columns["text"] = words[common]
    size = np.bincount(nth, minlength=len(common) + 1)[:-1]
    columns["count"] = size

    def sums(values: Float[np.ndarray, " positions"]) -> Float[np.ndarray, " tokens"]:
        return np.bincount(nth, values, len(common) + 1)[:-1]

    def moments(weights: Float[np.ndarray, "samples places"]) -> Moments:
        off = np.broadcast_to(weights, tokens.shape).ravel() - weights[0, 0]
        mean = sums(off) / size
        rest = off - np.append(mean, 0)[nth]
        return Moments(weights[0, 0] + mean, sums(rest**2) / size)

    check_weighted(collection)
    tables = []
    for place in range(len(collection.stages)):
        sizes = collection.positions(place).shape[2:]
        if not len(weighted_edges(collection, place)):
            continue
        if sizes and sizes != tokens.shape[1:]:
            raise DataError(
                f"stage {place + 1} must have the positions of its {tokens.shape[1]} "
                f"tokens, got {sizes}"
            )
        tables.append(_table(collection, place, by, moments, columns))
    return pd.concat(tables, ignore_index=True)


def _table(
    collection: Collection,
    place: int,
    by: str,
    moments: Callable[[np.ndarray], Moments],
    columns: dict[str, np.ndarray],
) -> pd.DataFrame:
    """Returns a stage's rows: each group of edges at each of some places.

    Args:
        place: Which stage, from 0.
        by: Which edges are one group.
        moments: Returns mean and variance at each place of an edge's weights,
            ``(samples, positions)``.
        columns: What names the places.
    """
    edges, full = weighted_edges(collection, place), collection.positions(place)
    ends = edge_rows(collection, place, edges, {})
    ends["distance"] = ends["target"] - ends["source"]
    tables, keys = [], group_keys(by)
    for key, group in ends.groupby(keys).indices.items():
        found = [
            moments(full[:, edge].astype(np.float64).reshape(len(full), -1))
            for edge in edges[group]
        ]
        mean = np.stack([each.mean for each in found])
        # The variance over samples and edges: within edges, and between their means.
        off = mean - mean[0]
        variance = np.mean([each.variance for each in found], 0) + off.var(0)
        names = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        numbers = {"mean": mean[0] + off.mean(0), "std": np.sqrt(variance)}
        tables.append(
            pd.DataFrame({**names, **columns, "edges": len(group), **numbers})
        )
    return pd.concat(tables, ignore_index=True)
