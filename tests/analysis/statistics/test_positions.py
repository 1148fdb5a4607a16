"""Tables of weights by position are those of plain loops."""

from collections import defaultdict
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
Rows = dict[tuple[Any, ...], list[float]]


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


def key(by: str, source: int, target: int) -> tuple[int, ...]:
    """Returns what names the group of an edge."""
    named = {
        "edge": (source, target),
        "source": (source,),
        "target": (target,),
        "distance": (target - source,),
        "stage": (),
    }
    return named[by]


def check(table: pd.DataFrame, names: list[str], expected: Rows) -> None:
    """Checks that a table has the mean and the std of each list of weights."""
    assert len(table) == len(expected)
    for row in table.to_dict(orient="records"):
        weights = expected[tuple(row[name] for name in names)]
        assert row["mean"] == pytest.approx(np.mean(weights))
        assert row["std"] == pytest.approx(np.std(weights))


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("make", [images, text])
def test_positions_are_those_of_loops(make: Any, by: str) -> None:
    made, expected = make(), defaultdict(list)
    for place in (0, 1):  # the third stage has no positions
        weights = made.positions(place)
        for e, (source, target) in enumerate(made.stages[place].edges.tolist()):
            for b in range(KEPT) if e != 1 else ():
                for at in np.ndindex(weights.shape[2:]):
                    row = place + 1, *key(by, source, target), *at
                    expected[row].append(float(weights[b, e, *at]))
    table = position_table(made, by=by)
    axes = ["position"] if made.by_position.inputs.ndim == 2 else ["height", "width"]
    assert list(table) == ["stage", *GROUPS[by], *axes, "edges", "mean", "std"]
    check(table, ["stage", *GROUPS[by], *axes], expected)
    edges = {row: len(each) / KEPT for row, each in expected.items()}
    assert table["edges"].tolist() == [
        edges[row]
        for row in table[["stage", *GROUPS[by], *axes]].itertuples(index=False)
    ]


@pytest.mark.parametrize("by", GROUPS)
@pytest.mark.parametrize("count", [2, 20])
def test_tokens_are_those_of_loops(by: str, count: int) -> None:
    made = text()
    tokens = made.by_position.tokens
    common = pd.Series(tokens.ravel()).value_counts().index[:count]
    assert set(common[:2]) == {1, 4}
    expected: Rows = defaultdict(list)
    for place in range(3):
        weights = made.positions(place)
        if place == 2:  # which has the same weights at each position
            weights = np.repeat(weights[:, :, None], 6, 2)
        for e, (source, target) in enumerate(made.stages[place].edges.tolist()):
            for (b, t), token in np.ndenumerate(tokens):
                if e != 1 and token in common:
                    row = place + 1, *key(by, source, target), token
                    expected[row].append(float(weights[b, e, t]))
    table = token_table(made, by=by, count=count)
    names = ["stage", *GROUPS[by], "token"]
    assert list(table) == [*names, "count", "edges", "mean", "std"]
    check(table, names, expected)
    assert (table["count"] == [(tokens == t).sum() for t in table["token"]]).all()
    assert table["token"].iloc[0] == common[0]
    named = token_table(text(tuple("vwxyz")), by=by, count=count)
    assert named["text"].tolist() == ["vwxyz"[token] for token in named["token"]]
    pd.testing.assert_frame_equal(named.drop(columns="text"), table)


@pytest.mark.parametrize("by", GROUPS)
def test_groups_are_those_of_loops(by: str) -> None:
    made = images()
    edges = edge_table(made)
    edges = edges[~edges["constant"]]
    groups: dict[tuple[int, ...], list[Any]] = defaultdict(list)
    for edge in edges.to_dict(orient="records"):
        group = edge["stage"], *key(by, edge["source"], edge["target"])
        groups[group].append(edge)
    table = weight_table(made, by=by)
    names = ["stage", *GROUPS[by]]
    assert list(table) == [*names, "edges", "mean", "std", "std_edges", "open"]
    assert len(table) == len(groups)
    for row in table.to_dict(orient="records"):
        same = groups[tuple(row[name] for name in names)]
        assert row["edges"] == len(same)
        assert row["mean"] == pytest.approx(np.mean([e["mean"] for e in same]))
        assert row["std"] == pytest.approx(np.mean([e["std"] for e in same]))
        assert row["std_edges"] == pytest.approx(np.std([e["mean"] for e in same]))
        assert row["open"] == pytest.approx(np.mean([e["open"] for e in same]))


def test_a_table_that_cannot_be_made_says_why() -> None:
    flat = collection([(), (), ()], np.zeros((KEPT, 6), int))
    other = collection([(3,), (6,), ()], np.zeros((KEPT, 6), int))
    for made, table, message in (
        (flat, position_table, "no stage's do"),
        (images(), token_table, "samples that are tokens"),
        (other, token_table, r"stage 1 .* its 6 tokens, got \(3,\)"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            table(made)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="at least 1, got 0"):
        token_table(text(), count=0)
    with pytest.raises(DataError, match="by must be stage"):
        position_table(text(), by="node")
