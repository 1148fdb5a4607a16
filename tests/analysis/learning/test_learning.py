"""What is planted is found, what is not there is not, and nothing held out is seen."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from ddw_graph.analysis.learning import classes
from ddw_graph.analysis.learning.classes import (
    NETWORK,
    Answer,
    compared,
    fold_interval,
    predict_classes,
)
from ddw_graph.analysis.learning.graph_network import network_predictions
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.errors import DataError
from ddw_graph.generators import from_text
from tests.analysis.learning.planted import one_edge_decides, stored


def row_of(answer: Answer, model: str) -> dict[str, Any]:
    rows = answer.summary.set_index("model").to_dict("index")
    row: dict[str, Any] = rows[model]  # type: ignore[assignment]
    return row


@pytest.mark.full
def test_one_edge_that_decides_the_class_is_found(tmp_path: Path) -> None:
    answer = predict_classes(one_edge_decides(tmp_path / "a", 240), folds=2)
    assert row_of(answer, NETWORK)["accuracy"] > 90
    assert row_of(answer, "logistic regression")["accuracy"] > 90
    chance = row_of(answer, "most frequent")
    assert chance["accuracy"] < 40 and chance["verdict"] == "better"


def test_shuffled_labels_are_predicted_by_chance_only(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 240, shuffle=True)
    answer = predict_classes(collection, epochs=5, folds=2)
    # Four standard errors of 240 guesses at one of three.
    assert abs(row_of(answer, NETWORK)["accuracy"] - 100 / 3) < 12.2
    assert row_of(answer, "most frequent")["verdict"] != "better"


def test_what_is_held_out_is_never_learned_from(tmp_path: Path) -> None:
    """Neither labels nor wirings of held-out samples change what is predicted."""
    graphs = collection_graphs(one_edge_decides(tmp_path / "a", 24))
    labels = np.array([int(graph.y) for graph in graphs])
    train = np.arange(16)

    def predicted() -> list[int]:
        before = torch.get_rng_state()
        found = network_predictions(
            graphs, labels, train, np.arange(16, 24), epochs=2, seed=0
        )
        assert torch.equal(torch.get_rng_state(), before)
        return [int(label) for label in found]

    before = predicted()
    labels[16:] = labels[16:][::-1].copy()
    for place in range(16, 23):
        graphs[place].edge_attr = graphs[place].edge_attr + 1
    assert predicted()[7] == before[7]
    graphs[0].edge_attr = graphs[0].edge_attr + 100
    assert predicted() != before


@pytest.mark.parametrize("target", ["class", "correct"])
def test_each_sample_is_held_out_once_and_scales_are_of_training_samples(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: set[int] = set()
    done: list[int] = []

    def spy(graphs: Any, y: Any, train: Any, test: Any, **options: Any) -> Any:
        scaled = torch.stack([graphs[place].edge_attr[:, 2] for place in train])
        assert scaled.mean(0).abs().max() < 1e-5
        assert (scaled.std(0, correction=0) - 1).abs().max() < 1e-4
        off = np.bincount(y[test], minlength=3) - np.bincount(y, minlength=3) / 3
        assert np.abs(off).max() < 1  # each fold has its share of every label
        assert sorted([*train, *test]) == list(range(30))
        seeds.add(options["seed"])
        return y[test]

    monkeypatch.setattr(classes, "network_predictions", spy)
    collection = one_edge_decides(tmp_path / "a", 30)
    answer = predict_classes(collection, target=target, folds=3, progress=done.append)
    assert done == [1, 2, 3] and len(seeds) == 3
    labels = collection.column("label")
    if target == "correct":
        labels = labels == collection.column("prediction")
    found = answer.predictions.set_index("sample")["target"].sort_index()
    assert found.tolist() == labels.tolist()
    assert row_of(answer, NETWORK)["accuracy"] == 100


def test_accuracies_are_paired_by_fold() -> None:
    table = pd.DataFrame({"fold": [0, 0, 1, 1, 1, 1], "sample": range(6)})
    table["target"] = table[NETWORK] = [0, 1, 0, 1, 1, 1]
    table["ones"] = 1
    first, row = compared(table).to_dict("records")
    assert first["accuracy"] == 100 and pd.isna(first["verdict"])
    assert (row["accuracy"], row["difference"]) == (62.5, 37.5)
    expected = fold_interval(pd.Series([50.0, 25.0]), (2 / 4 + 4 / 2) / 2)
    found = (row[f"difference{end}"] for end in ("", "_low", "_high"))
    assert tuple(found) == pytest.approx(expected)
    assert row["verdict"] == "not significantly different"


def test_the_interval_is_wider_than_students_by_the_ratio() -> None:
    values = pd.Series([0.1, 0.4, 0.2, 0.5])
    mean, low, high = fold_interval(values, 0.25)
    student = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    wider = (high - low) / (student[1] - student[0])
    assert wider == pytest.approx(math.sqrt((1 / 4 + 1 / 4) / (1 / 4)))
    assert mean == pytest.approx(0.3)


def test_what_cannot_be_learned_is_an_error(tmp_path: Path) -> None:
    dag = from_text("complete", n=2, seed=0)
    labels, ones = np.arange(12) % 3, np.ones((12, dag.number_of_edges()))
    varied = ones * np.arange(12)[:, None]
    for place, (weights, targets, folds, message) in enumerate(
        (
            (ones, labels, 2, "got 6 edges with one weight for all"),
            (varied * np.nan, labels, 2, "finite weights"),
            (varied, 0 * labels, 2, "at least two labels, got 1"),
            (varied, labels, 1, "got folds=1 and 4 of label 0"),
            (varied, labels, 5, "got folds=5 and 4 of label 0"),
        )
    ):
        made = stored(tmp_path / str(place), [dag], [weights], targets)
        with pytest.raises(DataError, match=message):
            predict_classes(made, folds=folds)
