"""Weights by position: of edges or groups of edges, at positions and at tokens."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from ddw_graph.analysis.statistics.edges import (
    check_weighted,
    edge_rows,
    group_keys,
    moments,
    weighted_edges,
)
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection


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

    def by_position(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return moments(np.concatenate(weights))

    tables = []
    for place in range(len(collection.stages)):
        sizes = collection.positions(place).shape[2:]
        if sizes and len(weighted_edges(collection, place)):
            indices = np.indices(sizes).reshape(len(sizes), -1)
            axes = ["position"] if len(sizes) == 1 else ["height", "width"]
            columns = dict(zip(axes, indices, strict=True))
            tables.append(_groups(collection, place, by, columns, by_position))
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
        by: Which edges are one group, a name of ``GROUPS``.
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
    kept = collection.by_position
    tokens = kept.tokens
    each, number = np.unique(tokens, return_counts=True)
    order = np.argsort(-number, kind="stable")[:count]
    columns = {"token": each[order]}
    if kept.vocabulary:
        columns["text"] = np.array(kept.vocabulary, dtype=object)[each[order]]
    columns["count"] = number[order]

    def by_token(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at_each = np.broadcast_to(weights, (len(weights), *tokens.shape))
        of_each = [at_each[:, tokens == t].reshape(-1, 1) for t in columns["token"]]
        mean, variance = np.concatenate(list(map(moments, of_each)), 1)
        return mean, variance

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
        tables.append(_groups(collection, place, by, columns, by_token))
    return pd.concat(tables, ignore_index=True)


def _groups(
    collection: Collection,
    place: int,
    by: str,
    columns: dict[str, np.ndarray],
    moments_of: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    """Returns a row for each group of a stage's edges at each position or token.

    Args:
        columns: What names the positions or tokens.
        moments_of: Returns mean and variance at each of them of a group's weights,
            ``(edges, samples, positions)``.
    """
    edges, full = weighted_edges(collection, place), collection.positions(place)
    ends = edge_rows(collection, place, edges, {})
    ends["distance"] = ends["target"] - ends["source"]
    tables, keys = [], group_keys(by)
    for key, group in ends.groupby(keys).indices.items():
        weights = full[:, edges[group]].astype(np.float64)
        weights = weights.reshape(*weights.shape[:2], -1).swapaxes(0, 1)
        mean, variance = moments_of(weights)
        names = dict(zip(keys, key if isinstance(key, tuple) else (key,), strict=True))
        numbers = {"edges": len(group), "mean": mean, "std": np.sqrt(variance)}
        tables.append(pd.DataFrame({**names, **columns, **numbers}))
    return pd.concat(tables, ignore_index=True)
