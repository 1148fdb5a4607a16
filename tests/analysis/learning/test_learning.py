"""What is planted is found, what is not there is not, and nothing held out is seen."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from sklearn.dummy import DummyClassifier

from ddw_graph.analysis.learning import questions
from ddw_graph.analysis.learning.cross_validation import (
    NETWORK,
    Answer,
    cross_validated,
    fold_interval,
    splits,
)
from ddw_graph.analysis.learning.graph_network import network_predictions
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.analysis.learning.questions import (
    finished_runs,
    predict_classes,
    predict_results,
)
from ddw_graph.errors import DataError
from ddw_graph.generators import from_text
from tests.analysis.learning.planted import one_edge_decides, sources_decide, stored


def row_of(answer: Answer, model: str) -> dict[str, Any]:
    rows = answer.summary.set_index("model").to_dict("index")
    row: dict[str, Any] = rows[model]  # type: ignore[assignment]
    return row


@pytest.mark.full
def test_one_edge_that_decides_the_class_is_found(tmp_path: Path) -> None:
    answer = predict_classes(one_edge_decides(tmp_path / "a", 240), folds=2)
    assert row_of(answer, NETWORK)["score"] > 90
    assert row_of(answer, "logistic regression")["score"] > 90
    chance = row_of(answer, "most frequent")
    assert chance["score"] < 40 and chance[NETWORK] == "better"


def test_shuffled_labels_are_predicted_by_chance_only(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 240, shuffle=True)
    answer = predict_classes(collection, epochs=10, folds=2)
    # Four standard errors of 240 guesses at one of three.
    assert abs(row_of(answer, NETWORK)["score"] - 100 / 3) < 12.2
    assert row_of(answer, "most frequent")[NETWORK] != "better"


def test_whether_a_prediction_is_right_is_a_target(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 60)
    answer = predict_classes(collection, target="correct", epochs=1, folds=2)
    right = collection.column("label") == collection.column("prediction")
    found = answer.predictions.set_index("item")["target"].sort_index()
    assert found.tolist() == right.tolist()
    assert row_of(answer, "most frequent")["score"] == pytest.approx(100 * right.mean())


@pytest.mark.full
def test_a_function_of_the_wiring_is_found(tmp_path: Path) -> None:
    runs = finished_runs([sources_decide(tmp_path / "s")])
    answer = predict_results(runs, epochs=60, folds=3)
    network, mean = row_of(answer, NETWORK), row_of(answer, "mean")
    assert network["score"] < 0.5 * mean["score"] and mean[NETWORK] == "better"
    assert mean["low"] <= mean["difference"] <= mean["high"] < 0


def test_the_same_wirings_are_held_out_together(tmp_path: Path) -> None:
    runs = finished_runs([sources_decide(tmp_path / "s", 8, copies=2)])
    answer = predict_results(runs, epochs=1, folds=3)
    table = answer.predictions
    assert "channels" in answer.about and "8 different wirings" in answer.about
    for repeat in range(3):
        own = table[table["repeat"] == repeat].set_index("item")["fold"].sort_index()
        assert own.index.tolist() == list(range(16))
        assert own[::2].tolist() == own[1::2].tolist()
    assert table["fold"].nunique() == 3


@pytest.mark.parametrize("numbers", [False, True])
def test_what_is_held_out_is_never_learned_from(tmp_path: Path, numbers: bool) -> None:
    """Neither targets nor wirings of held-out items change what is predicted."""
    graphs = collection_graphs(one_edge_decides(tmp_path / "a", 24))
    y = np.array([float(graph.y) if numbers else int(graph.y) for graph in graphs])
    train, test = np.arange(16), np.array([23, 16, 20])

    def predictions(places: np.ndarray) -> np.ndarray:
        return network_predictions(graphs, y, train, places, epochs=2, seed=0)

    before = predictions(test)
    y[16:] = y[16:][::-1].copy()
    for place in range(16, 24):
        if place != 23:
            graphs[place].edge_attr += 1
    after = predictions(test)
    assert before[0] == after[0]
    np.testing.assert_allclose(predictions(test[:1]), after[:1], rtol=1e-5)
    if numbers:
        assert (before[1:] != after[1:]).all()


def test_scales_are_those_of_training_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def spy(graphs: Any, y: Any, train: Any, test: Any, **options: Any) -> Any:
        scaled = torch.stack([graphs[place].edge_attr[:, 2] for place in train])
        assert scaled.mean(0).abs().max() < 1e-5
        assert (scaled.std(0, correction=0) - 1).abs().max() < 1e-4
        seen.append(scaled.shape)
        return y[test]

    monkeypatch.setattr(questions, "network_predictions", spy)
    predict_classes(one_edge_decides(tmp_path / "a", 30), folds=3)
    assert seen == 3 * [(20, 20)]


@given(
    sizes=st.lists(st.integers(1, 3), min_size=8, max_size=14),
    folds=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_each_item_is_held_out_once_and_no_group_is_split(
    sizes: list[int], folds: int, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    labels = np.arange(len(groups)) * 2 // len(groups)
    for own in (None, groups):
        found = splits(labels, folds=folds, seed=seed, groups=own)
        held_out = np.concatenate([test for _, test in found])
        assert sorted(held_out) == list(range(len(groups))) and len(found) == folds
        for train, test in found:
            assert len(test) and sorted([*train, *test]) == list(range(len(groups)))
            assert own is None or not set(own[train]) & set(own[test])


def test_the_same_seed_answers_the_same_and_draws_nothing_else(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 30)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    first, again, other = (
        predict_classes(collection, epochs=1, folds=2, seed=seed).predictions
        for seed in (3, 3, 4)
    )
    assert first.equals(again) and not first.equals(other)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]


def test_scores_are_paired_by_fold() -> None:
    targets = np.array([0, 1, 0, 1, 1, 1])
    folds = [(np.array([2, 3, 4, 5]), np.array([0, 1]))]
    folds.append((np.array([0, 1]), np.array([2, 3, 4, 5])))
    seeds, heard = [], []

    def network(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        seeds.append(seed)
        held_out: np.ndarray = targets[test]
        return held_out

    answer = cross_validated(
        network,
        {"ones": DummyClassifier(strategy="constant", constant=1)},
        np.zeros((6, 1)),
        targets,
        [folds],
        about="",
        seed=1,
        progress=lambda *done: heard.append(done),
    )
    assert heard == [(1, 2), (2, 2)] and len(set(seeds)) == 2
    (row,) = answer.summary.to_dict("records")[1:]
    assert (row["score"], row["difference"]) == (62.5, 37.5)
    expected = fold_interval([50.0, 25.0], (2 / 4 + 4 / 2) / 2)
    assert (row["difference"], row["low"], row["high"]) == pytest.approx(expected)
    assert row[NETWORK] == "not significantly different"


def test_the_interval_is_wider_than_students_by_the_ratio() -> None:
    values = [0.1, 0.4, 0.2, 0.5]
    mean, low, high = fold_interval(values, 0.25)
    student = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    wider = (high - low) / (student[1] - student[0])
    assert wider == pytest.approx(math.sqrt((1 / 4 + 1 / 4) / (1 / 4)))
    assert mean == pytest.approx(0.3)


def test_what_cannot_be_learned_is_an_error(tmp_path: Path) -> None:
    dag = from_text("complete", n=2, seed=0)
    labels, ones = np.arange(12) % 3, np.ones((12, dag.number_of_edges()))
    same = stored(tmp_path / "l", [dag], [ones / 2], labels)
    with pytest.raises(DataError, match="got 6 edges with one weight for all"):
        predict_classes(same)
    varied = ones * np.arange(12)[:, None]
    one = stored(tmp_path / "o", [dag], [varied], 0 * labels)
    with pytest.raises(DataError, match="at least two labels, got 1"):
        predict_classes(one)
    few = stored(tmp_path / "w", [dag], [varied], labels)
    for folds in (1, 5):
        with pytest.raises(DataError, match=f"got folds={folds} and 4 of label 0"):
            predict_classes(few, folds=folds)
    bad = stored(tmp_path / "b", [dag], [varied * np.nan], labels)
    with pytest.raises(DataError, match="finite weights"):
        predict_classes(bad)


def test_which_runs_cannot_be_learned_from_is_an_error(tmp_path: Path) -> None:
    some = sources_decide(tmp_path / "s", 12, finished=8)
    runs = finished_runs([some])
    assert [run.path.name for run in runs] == [f"run-0{n}-0" for n in range(8)]
    with pytest.raises(DataError, match="got 8 in 8 finished runs, and folds=5"):
        predict_results(runs)
    with pytest.raises(DataError, match=r"'speed', which .*run-00-0 lacks; it has"):
        predict_results(runs, target="speed")
    with pytest.raises(DataError, match="total_macs must differ .* got 9 in all 8"):
        predict_results(runs, target="total_macs")
    none = sources_decide(tmp_path / "n", 3, finished=0)
    with pytest.raises(DataError, match="finished runs of networks, got none in"):
        finished_runs([none, tmp_path / "missing"])
