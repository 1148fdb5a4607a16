"""Streamed statistics are those of plain loops over samples and edges."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from ddw_graph.analysis.statistics.classes import (
    LEVELS,
    class_table,
    information_table,
)
from ddw_graph.analysis.statistics.edges import edge_table
from ddw_graph.analysis.statistics.observations import (
    ANSWERS,
    observation_summary,
    observations,
)
from ddw_graph.analysis.statistics.paths import dominant_table, path_table
from ddw_graph.analysis.statistics.samples import (
    difficulty_table,
    unusual_table,
    unusualness,
)
from ddw_graph.errors import DataError
from ddw_graph.generators import complete, watts_strogatz
from ddw_graph.training.collecting import collection_of
from ddw_graph.training.collection import Collection
from tests.analysis.statistics.naive import random_weights, stored
from tests.analysis.test_collect import some_model
from tests.strategies import wirings

SAMPLES = 60


@pytest.fixture
def collection(monkeypatch: pytest.MonkeyPatch) -> Collection:
    """Two stages, three classes, one constant edge a stage, read a few at a time."""
    dags = [complete(3), watts_strogatz(5, 2, 0.5, seed=0)]
    labels = np.random.default_rng(0).integers(3, size=SAMPLES)
    weights = [random_weights(dag, SAMPLES, k) for k, dag in enumerate(dags)]
    weights[0][:, 3] += labels
    made = stored(dags, weights, labels, constant=[1])
    chunks = Collection.chunks
    monkeypatch.setattr(Collection, "chunks", lambda self, k: chunks(self, k, 7))
    monkeypatch.setattr("ddw_graph.analysis.statistics.edges.BLOCK", 2 * SAMPLES)
    return made


def columns(collection: Collection) -> list[tuple[int, int, int, np.ndarray]]:
    """Returns stage, source, target and weights of each weighted edge."""
    return [
        (k + 1, *stage.edges[e], collection.weights(k)[:, e].astype(np.float64))
        for k, stage in enumerate(collection.stages)
        for e in range(len(stage.edges))
        if not stage.constant[e]
    ]


def test_classes_are_counted_apart(collection: Collection) -> None:
    names = np.array(collection.classes)[collection.column("label")]
    keys = ["stage", "source", "target", "class"]
    frames = [
        pd.DataFrame(dict(zip(keys, (stage, i, j, names), strict=True)) | {"weight": w})
        for stage, i, j, w in columns(collection)
    ]
    groups = pd.concat(frames).groupby(keys)["weight"]
    expected = pd.concat([groups.size(), groups.mean(), groups.std(ddof=0)], axis=1)
    expected = expected.reset_index()
    found = class_table(collection)
    assert list(found) == [*keys, "samples", "mean", "std"]
    expected.columns = found.columns
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)


def test_information_is_that_of_plain_tables(collection: Collection) -> None:
    labels = collection.column("label")
    table = information_table(collection)
    assert table["share_chance"].unique() == pytest.approx([2 / (SAMPLES - 1)])
    for row, (_, _, _, w) in zip(table.itertuples(), columns(collection), strict=True):
        f, _ = stats.f_oneway(*(w[labels == c] for c in range(3)))
        assert row.class_share == pytest.approx(f * 2 / (f * 2 + SAMPLES - 3))
        assert row.std == pytest.approx(w.std())
        is_open = w[w != 0]
        bounds = np.linspace(is_open.min(), is_open.max(), LEVELS + 1)
        level = np.clip(np.searchsorted(bounds, w, side="right"), 1, LEVELS)
        counts = pd.crosstab(np.where(w == 0, 0, level), labels).to_numpy()
        assert row.entropy == pytest.approx(stats.entropy(counts.sum(1), base=2))
        independent = np.outer(counts.sum(1), counts.sum(0)).ravel()
        known = stats.entropy(counts.ravel(), independent, base=2)
        assert row.information == pytest.approx(known, abs=1e-12)
        freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
        chance = freedom / (2 * SAMPLES * np.log(2))
        assert row.information_chance == pytest.approx(chance)
    assert table["class_share"].max() > 0.8


@given(dag=wirings(), seed=st.integers(0, 99), closed=st.floats(0, 0.9))
def test_paths_are_all_that_networkx_finds(
    dag: nx.DiGraph, seed: int, closed: float
) -> None:
    weights = random_weights(dag, 5, seed, closed=closed)
    made = stored([dag], [weights], np.zeros(5, dtype=int))
    edges, last = sorted(dag.edges), dag.number_of_nodes() - 1
    for row, values in zip(path_table(made).itertuples(), weights, strict=True):
        sample = nx.DiGraph()
        sample.add_nodes_from(dag)
        sample.add_weighted_edges_from(
            (i, j, float(w)) for (i, j), w in zip(edges, values, strict=True) if w
        )
        reached = nx.descendants(sample, 0) | {0}
        assert row.alive_nodes == len(reached - {0, last})
        assert row.open_edges == sample.subgraph(reached).number_of_edges()
        paths = list(nx.all_simple_paths(sample, 0, last))
        carried = [
            np.prod([sample.edges[edge]["weight"] for edge in nx.utils.pairwise(path)])
            for path in paths
        ]
        lengths = [len(path) - 1 for path in paths]
        assert row.open_paths == len(paths) and row.longest == max(lengths)
        assert row.depth == pytest.approx(np.average(lengths, weights=carried))
        best = int(np.argmax(carried))
        assert row.share == pytest.approx(carried[best] / sum(carried))
        assert row.dominant == "-".join(map(str, paths[best]))


def test_dominant_paths_are_counted_by_stage(collection: Collection) -> None:
    table = dominant_table(collection)
    groups = path_table(collection).groupby(["stage", "dominant"])["share"]
    found = table.set_index(["stage", "dominant"])
    assert found["samples"].to_dict() == groups.size().to_dict()
    assert found["share"].to_dict() == pytest.approx(groups.mean().to_dict())
    assert (found["part"] * SAMPLES).tolist() == pytest.approx(found["samples"])
    order = list(zip(table["stage"], -table["samples"], table["dominant"], strict=True))
    assert order == sorted(order) and len(order) > 4


def test_unusual_is_far_from_its_class(collection: Collection) -> None:
    labels = collection.column("label")
    weights = np.array([w for *_, w in columns(collection)]).T
    off = weights.copy()
    for c in range(3):
        off[labels == c] -= weights[labels == c].mean(0)
    expected = np.sqrt(((off / np.sqrt((off**2).mean(0))) ** 2).mean(1))
    # 1 is usual: in the square mean of all samples.
    assert (expected**2).mean() == pytest.approx(1)
    np.testing.assert_allclose(unusualness(collection), expected)
    table = unusual_table(collection)
    order = np.argsort(-expected)
    assert table["sample"].tolist() == order.tolist()
    assert table["label"].tolist() == [collection.classes[c] for c in labels[order]]


def test_one_sample_of_a_class_and_rounding_are_not_unusual() -> None:
    dag, labels = complete(3), np.array([0, 0, 0, 1])
    weights = np.full((4, 10), 0.7, np.float32)
    alone = stored([dag], [weights], labels)
    assert not unusualness(alone).any()
    # An edge that float32 can just tell apart says nothing; another one says all.
    weights[0, 2] = np.nextafter(np.float32(0.7), np.float32(1))
    weights[1, 5] = 0.2
    found = unusualness(stored([dag], [weights], labels))
    assert (found**2).tolist() == pytest.approx([2 / 3, 8 / 3, 2 / 3, 0])


def test_difficulty_is_a_rank_correlation_with_the_loss(
    collection: Collection,
) -> None:
    known = {name: collection.column(name) for name in collection.columns}
    paths = path_table(collection).groupby("sample")
    measures = {
        "expected_macs": known["expected_macs"],
        "open_edges": paths["open_edges"].sum().to_numpy(),
        "depth": paths["depth"].sum().to_numpy(),
        "share": paths["share"].mean().to_numpy(),
        "unusualness": unusualness(collection),
    }
    table = difficulty_table(collection).set_index("measure")
    assert list(table.index) == list(measures)
    right = known["label"] == known["prediction"]
    for name, values in measures.items():
        row = table.loc[name]
        rho = stats.spearmanr(values, known["loss"]).statistic
        assert row["correlation"] == pytest.approx(rho)
        reach = 1.96 * np.sqrt((1 + rho**2 / 2) / (SAMPLES - 3))
        bounds = np.tanh(np.arctanh(rho) + np.array([-reach, reach]))
        assert [row["low"], row["high"]] == pytest.approx(list(bounds))
        means = values[right].mean(), values[~right].mean()
        assert [row["right"], row["wrong"]] == pytest.approx(means)
    few = {name: known[name] for name in ("loss", "expected_macs")}
    bare = replace(collection, columns=few, classes=())
    without = difficulty_table(bare).set_index("measure")
    pd.testing.assert_frame_equal(without, table.iloc[:4, :3])
    for other in (class_table, information_table, unusual_table):
        with pytest.raises(DataError, match="have no classes"):
            other(bare)


def planted(sign: int, noise: float = 0.02, seed: int = 0) -> Collection:
    """Returns weights in which the paper's observations hold, or do not."""
    generator = np.random.default_rng(seed)
    dag, half = complete(8), SAMPLES // 2
    weights = []
    for stage in (1, 2, 3):
        place = np.array(sorted(dag.edges))[:, 0] - 4
        off = generator.normal(0, noise, (2, len(place)))
        mean = 0.6 - sign * 0.03 * place + off[0]
        std = 0.1 + sign * (0.01 * place + 0.02 * stage) + off[1] / 10
        # The population's standard deviation of half ones and half minus ones is 1.
        weights.append(mean + np.abs(std) * np.repeat([[1], [-1]], half, 0))
    return stored([dag] * 3, weights, np.arange(SAMPLES) % 3)


def test_observations_hold_where_they_were_planted() -> None:
    noise = planted(0, seed=1)
    tables = []
    for sign, holds in ((1, "yes"), (-1, "no")):
        table = observations(planted(sign), noise)
        assert table["holds"].tolist() == [holds] * 3
        assert (np.sign(table["relative"]) == sign).all()
        assert (table["low"] < table["relative"]).all()
        assert (table["relative"] < table["high"]).all()
        tables.append(table)
    summary = observation_summary(pd.concat([*tables, tables[0]]))
    assert summary[list(ANSWERS)].to_numpy().tolist() == [[2, 1, 0]] * 3
    values = np.array([tables[k]["relative"] for k in (0, 1, 0)])
    assert summary["relative"].tolist() == pytest.approx(values.mean(0))
    assert summary["relative_std"].tolist() == pytest.approx(values.std(0, ddof=1))


def test_an_effect_is_that_of_plain_loops_and_its_interval_is_welchs() -> None:
    collection = planted(1)
    edges = edge_table(collection)
    table = observations(collection, planted(0, seed=1)).set_index("observation")
    front, rear = [], []
    for stage in (1, 2, 3):
        rows = edges[edges["stage"] == stage]
        values = [rows.loc[rows["source"] == i, "mean"].mean() for i in range(9)]
        off = np.array(values) - np.mean(values)
        front += off[:4].tolist()  # of nine nodes that have output edges
        rear += off[5:].tolist()
    size = edges["mean"].mean()
    row = table.loc["front-weights"]
    assert row["relative"] == pytest.approx((np.mean(front) - np.mean(rear)) / size)
    variances = np.var(front, ddof=1) / 12, np.var(rear, ddof=1) / 12
    freedom = sum(variances) ** 2 / sum(v**2 / 11 for v in variances)
    reach = stats.t.ppf(0.975, freedom) * np.sqrt(sum(variances)) / size
    assert row["high"] - row["relative"] == pytest.approx(reach)
    last, first = (edges.loc[edges["stage"] == k, "std"].mean() for k in (3, 1))
    expected = (last - first) / edges["std"].mean()
    assert table.loc["deep-variance", "relative"] == pytest.approx(expected)


def test_small_effects_and_those_before_training_are_not_significant() -> None:
    trained, noise = planted(1), planted(0, seed=1)
    none = ["no significant effect"] * 3
    assert observations(trained, planted(1, seed=1))["holds"].tolist() == none
    assert observations(trained, noise, smallest=0.9)["holds"].tolist() == none
    # The opposite before training is no reason against an effect.
    assert observations(trained, planted(-1, seed=1))["holds"].tolist() == ["yes"] * 3
    with pytest.raises(DataError, match="above 0, got 0"):
        observations(trained, noise, smallest=0)
    with pytest.raises(DataError, match="same samples"):
        fewer = tuple(array[:-1] for array in noise.arrays)
        observations(trained, Collection(noise.stages, fewer, classes=noise.classes))
    with pytest.raises(DataError, match="wirings"):
        observations(trained, Collection(noise.stages[:1], noise.arrays[:1]))


@pytest.mark.parametrize("edges", ["dynamic:router_std=1,bias=0", "learned"])
def test_no_observation_holds_in_untrained_networks(edges: str) -> None:
    images, found = torch.rand(8, 1, 8, 8), []
    for seed in range(3):
        with torch.no_grad():
            network = some_model(edges, n=5, seed=seed)
            _, adjacency = network(images, return_adjacency=True)
        found.append(collection_of(adjacency, network))
    for one, other in zip(found, [*found[1:], found[0]], strict=True):
        assert not (observations(one, other)["holds"] == "yes").any()


def test_what_never_varies_is_no_observation() -> None:
    dag = complete(3)
    labels = np.arange(6) % 3
    # Sums of 0.7 are rounded in float64: what never varies must not vary by that.
    weights = np.full((6, 10), 0.7)
    assert weights.std(0).all()
    same = replace(stored([dag], [weights], labels), arrays=(weights,))
    assert not edge_table(same)["std"].any()
    assert (observations(same, same)["holds"] == "no significant effect").all()
    assert information_table(same)["class_share"].isna().all()
    assert not unusualness(same).any()
    with pytest.raises(DataError, match="weights that differ between samples"):
        unusual_table(same)
    none = stored([dag], [np.ones((6, 10))], labels, constant=range(10))
    with pytest.raises(DataError, match="are constant"):
        observations(none, none)
