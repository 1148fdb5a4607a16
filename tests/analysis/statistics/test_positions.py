"""Tables of groups of edges, and of weights by position, are those of plain loops."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddw_graph.analysis.statistics.edges import GROUPS, edge_table, weight_table
from ddw_graph.analysis.statistics.positions import position_table, token_table
from ddw_graph.errors import DataError
from ddw_graph.generators import complete, watts_strogatz
from ddw_graph.training.collection import Collection
from ddw_graph.training.positions import Positions
from tests.analysis.statistics.naive import random_weights, stored

DAGS = [complete(3), watts_strogatz(5, 2, 0.5, seed=0), complete(1)]
KEPT = 4


def collection(
    axes: list[tuple[int, ...]], inputs: np.ndarray, vocabulary: tuple[str, ...] = ()
) -> Collection:
    """Returns three stages, one constant edge each, with drawn weights by position."""
    generator = np.random.default_rng(0)
    weights = [random_weights(dag, KEPT, k) for k, dag in enumerate(DAGS)]
    full = [
        generator.random((KEPT, w.shape[1], *a)).astype(np.float32)
        for w, a in zip(weights, axes, strict=True)
    ]
    made = stored(DAGS, weights, np.zeros(KEPT, dtype=int), constant=[1])
    kept = Positions(tuple(full), inputs, vocabulary)
    return Collection(made.stages, made.arrays, made.columns, made.classes, kept=kept)


def images() -> Collection:
    return collection([(3, 2), (2, 2), ()], np.zeros((KEPT, 1, 6, 4), np.float32))


def text(vocabulary: tuple[str, ...] = ()) -> Collection:
    tokens = np.random.default_rng(1).choice(5, (KEPT, 6), p=[0.1, 0.4, 0.1, 0.1, 0.3])
    return collection([(6,), (6,), ()], tokens, vocabulary)


def weighted(made: Collection, by: str) -> list[tuple[tuple[int, ...], int, int]]:
    """Returns what names the group of each weighted edge, its stage and its place."""
    found = []
    for place, stage in enumerate(made.stages):
        for e, (source, target) in enumerate(stage.edges.tolist()):
            names = {"source": source, "target": target, "distance": target - source}
            group = (place + 1, *(names[column] for column in GROUPS[by]))
            found += [] if stage.constant[e] else [(group, place, e)]
    return found


def check(table: pd.DataFrame, names: Sequence[str], expected: dict[Any, Any]) -> None:
    """Checks that a table has the mean and the std of each list of weights."""
    assert list(table)[: len(names)] == list(names) and len(table) == len(expected)
    for row in table.to_dict(orient="records"):
        weights = expected[tuple(row[name] for name in names)]
        assert row["mean"] == pytest.approx(np.mean(weights))
        assert row["std"] == pytest.approx(np.std(weights))


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("make", [images, text])
def test_positions_are_those_of_loops(make: Any, by: str) -> None:
    made = make()
    expected: dict[Any, list[float]] = defaultdict(list)
    for group, place, e in weighted(made, by):
        weights = made.positions(place)[:, e]
        for at in np.ndindex(weights.shape[1:]) if place < 2 else ():
            expected[*group, *at] += weights[:, *at].tolist()
    axes = ["position"] if made.by_position.inputs.ndim == 2 else ["height", "width"]
    names = ["stage", *GROUPS[by], *axes]
    table = position_table(made, by=by)
    check(table, names, expected)
    edges = [len(expected[row]) / KEPT for row in map(tuple, table[names].to_numpy())]
    assert table["edges"].tolist() == edges


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("count", [2, 20])
def test_tokens_are_those_of_loops(by: str, count: int) -> None:
    made = text()
    expected: dict[Any, list[float]] = defaultdict(list)
    tokens = made.by_position.tokens
    common = pd.Series(tokens.ravel()).value_counts().index[:count]
    assert set(common[:2]) == {1, 4}
    for group, place, e in weighted(made, by):
        weights = made.positions(place)[:, e]
        if place == 2:  # which has the same weights at each position
            weights = np.repeat(weights[:, None], 6, 1)
        for token in common:
            expected[*group, token] += weights[tokens == token].tolist()
    table = token_table(made, by=by, count=count)
    check(table, ["stage", *GROUPS[by], "token"], expected)
    assert (table["count"] == [(tokens == t).sum() for t in table["token"]]).all()
    assert table["token"].iloc[0] == common[0]
    named = token_table(text(tuple("vwxyz")), by=by, count=count)
    assert named["text"].tolist() == ["vwxyz"[token] for token in named["token"]]
    pd.testing.assert_frame_equal(named.drop(columns="text"), table)


@pytest.mark.parametrize("by", GROUPS)
def test_groups_are_those_of_loops(by: str) -> None:
    made = images()
    edges = edge_table(made).set_index(["stage", "source", "target"])
    groups = defaultdict(list)
    for group, place, e in weighted(made, by):
        groups[group].append(edges.loc[place + 1, *made.stages[place].edges[e]])
    table = weight_table(made, by=by)
    assert len(table) == len(groups)
    for row in table.to_dict(orient="records"):
        same = pd.DataFrame(groups[tuple(row[n] for n in ("stage", *GROUPS[by]))])
        assert row["edges"] == len(same)
        means = same[["mean", "std", "open"]].astype(float).mean().to_dict()
        assert {name: row[name] for name in means} == pytest.approx(means)
        assert row["std_edges"] == pytest.approx(np.std(same["mean"].astype(float)))


def test_a_table_that_cannot_be_made_says_why() -> None:
    flat = collection([(), (), ()], np.zeros((KEPT, 6), int))
    other = collection([(3,), (6,), ()], np.zeros((KEPT, 6), int))
    for made, table, message in (
        (flat, position_table, "no stage's do"),
        (images(), token_table, "samples that are tokens"),
        (other, token_table, r"stage 1 .* its 6 tokens, got \(3,\)"),
    ):
        with pytest.raises(DataError, match=message):
            table(made)
    with pytest.raises(DataError, match="at least 1, got 0"):
        token_table(text(), count=0)
    with pytest.raises(DataError, match="by must be stage"):
        position_table(text(), by="node")
