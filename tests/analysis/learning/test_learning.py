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

from ddw_graph.analysis.learning import class_test as classes
from ddw_graph.analysis.learning import result_test as results
from ddw_graph.analysis.learning.baselines import (
    linear,
    logistic_coefficients,
    majority,
    nearest_mean,
)
from ddw_graph.analysis.learning.class_test import ClassTest, class_test
from ddw_graph.analysis.learning.collection_graphs import CollectionGraphs
from ddw_graph.analysis.learning.crossing import (
    NETWORK,
    Crossed,
    crossed,
    fold_difference,
    verdict,
)
from ddw_graph.analysis.learning.fitting import Fitting, Graphs, fitted, told
from ddw_graph.analysis.learning.folds import grouped_folds, stratified_folds
from ddw_graph.analysis.learning.result_test import ResultTest, result_test
from ddw_graph.analysis.learning.run_graphs import finished_runs
from ddw_graph.errors import DataError, RunError
from ddw_graph.experiments.summary import Difference
from ddw_graph.generators import from_text
from tests.analysis.learning.planted import (
    one_edge_decides,
    sources_decide,
    stored,
    swept,
)

QUICK = Fitting(epochs=1, hidden=4, layers=1)


def row_of(test: ClassTest | ResultTest, model: str) -> dict[str, Any]:
    return next(row for row in test.summary if row["model"] == model)


@pytest.mark.cpu_seconds(5, reason="fits a graph network and three plain models")
def test_one_edge_that_decides_the_class_is_found(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 240)
    test = class_test(collection, Fitting(epochs=20), folds=2)
    assert row_of(test, NETWORK)["accuracy"] > 90
    assert row_of(test, "logistic regression")["accuracy"] > 90
    assert row_of(test, "nearest class mean")["accuracy"] > 60
    chance = row_of(test, "majority class")
    assert chance["accuracy"] < 40 and chance["network"] == "beats"
    assert (test.samples, test.classes, test.edges) == (240, 3, 20)


def test_shuffled_labels_are_told_by_chance_alone(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 240, shuffle=True)
    test = class_test(collection, Fitting(epochs=10), folds=2)
    # Four standard errors of 240 guesses at one of three.
    assert abs(row_of(test, NETWORK)["accuracy"] - 100 / 3) < 12.2
    assert row_of(test, "majority class")["network"] != "beats"


@pytest.mark.full
def test_a_function_of_the_wiring_is_found(tmp_path: Path) -> None:
    runs = finished_runs(sources_decide(tmp_path / "s"), "test_accuracy")
    test = result_test(runs, Fitting(epochs=60), folds=3, repeats=1)
    assert row_of(test, NETWORK)["r2"] > 0.8
    assert row_of(test, "mean")["network"] == "beats"
    assert row_of(test, "mean")["r2"] == 0
    assert (test.runs, test.wirings) == (48, 48)


@pytest.mark.parametrize("repeats", [1, 2])
def test_what_is_held_out_is_never_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, repeats: int
) -> None:
    """Every graph that a network is fitted to, or a scale is made of, is another's."""
    collection = one_edge_decides(tmp_path / "a", 30)
    learned: list[set[int]] = []
    scales: list[torch.Tensor] = []

    def spy(graphs: Graphs, *arguments: Any, **options: Any) -> Any:
        learned.append({int(graphs[n].sample) for n in range(len(graphs))})
        assert isinstance(graphs.graphs, CollectionGraphs)
        assert graphs.graphs.scale is not None
        scales.append(graphs.graphs.scale.mean)
        return fitted(graphs, *arguments, **options)

    monkeypatch.setattr(classes, "fitted", spy)
    test = class_test(collection, QUICK, folds=3, repeats=repeats)
    weights = np.concatenate([collection.weights(place) for place in (0, 1)], 1)
    for place, (seen, mean) in enumerate(zip(learned, scales, strict=True)):
        key = divmod(place, 3)
        held_out = {
            row["sample"]
            for row in test.predictions
            if (row["repeat"], row["fold"]) == key
        }
        assert not seen & held_out and len(seen | held_out) == 30
        np.testing.assert_allclose(mean, weights[sorted(seen)].mean(0), rtol=1e-5)
    for repeat in range(repeats):
        rows = [row for row in test.predictions if row["repeat"] == repeat]
        assert sorted(row["sample"] for row in rows) == list(range(30))


def test_no_wiring_is_held_out_and_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each wiring is there twice, as with two settings of the edges.
    found = [
        ([from_text("er:p=0.4", n=5, seed=n // 2)], {"test_accuracy": n / 16})
        for n in range(16)
    ]
    folder = swept(tmp_path / "s", found, axes=("edges", "seed", "wiring"))
    runs = finished_runs(folder, "test_accuracy")
    assert runs.others == ("edges",)
    learned: list[list[float]] = []

    def spy(graphs: Graphs, *arguments: Any, **options: Any) -> Any:
        own = [graphs[n] for n in range(len(graphs))]
        y = torch.cat([graph.y for graph in own])
        # The scale of the target too is that of what is learned from.
        assert abs(y.mean()) < 1e-5 and abs(y.std(correction=0) - 1) < 1e-5
        learned.append([float(graph.edge_index.sum()) for graph in own])
        return fitted(graphs, *arguments, **options)

    monkeypatch.setattr(results, "fitted", spy)
    test = result_test(runs, QUICK, folds=3, repeats=2)
    assert test.wirings == len(set(runs.groups.tolist()))
    for place in range(6):
        key = divmod(place, 3)
        held_out = {
            int(row["run"].removeprefix("run-"))
            for row in test.predictions
            if (row["repeat"], row["fold"]) == key
        }
        groups = {int(runs.groups[n]) for n in held_out}
        others = set(range(16)) - held_out
        assert not groups & {int(runs.groups[n]) for n in others}
        assert len(learned[place]) == len(others)


@given(
    counts=st.lists(st.integers(3, 20), min_size=2, max_size=5),
    folds=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_folds_have_their_share_of_every_class(
    counts: list[int], folds: int, seed: int
) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    found = stratified_folds(labels, folds, seed=(seed,))
    for label, count in enumerate(counts):
        sizes = np.bincount(found[labels == label], minlength=folds)
        assert sizes.sum() == count and np.ptp(sizes) <= 1
    assert np.ptp(np.bincount(found, minlength=folds)) <= 1
    again = stratified_folds(labels, folds, seed=(seed,))
    np.testing.assert_array_equal(found, again)


@given(
    sizes=st.lists(st.integers(1, 3), min_size=6, max_size=14),
    folds=st.integers(2, 3),
    seed=st.integers(0, 99),
)
def test_folds_keep_groups_together_and_targets_apart(
    sizes: list[int], folds: int, seed: int
) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    targets = groups.astype(float)
    found = grouped_folds(groups, targets, folds, seed=(seed,))
    fold_of = [set(found[groups == group].tolist()) for group in range(len(sizes))]
    assert all(len(one) == 1 for one in fold_of)
    # Of so many neighbours each is in another fold.
    for start in range(0, len(sizes) - folds + 1, folds):
        assert len(set.union(*fold_of[start : start + folds])) == folds
    assert set(found.tolist()) == set(range(folds))


def test_the_same_seed_tells_the_same_and_draws_nothing_else(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 30)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    first = class_test(collection, QUICK, folds=2, seed=3)
    again = class_test(collection, QUICK, folds=2, seed=3)
    other = class_test(collection, QUICK, folds=2, seed=4)
    assert first == again and first != other
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # type: ignore[index]


def test_what_is_told_is_in_the_order_of_the_graphs(tmp_path: Path) -> None:
    graphs = CollectionGraphs(one_edge_decides(tmp_path / "a", 30))
    fitting = Fitting(epochs=2, batch_size=3, hidden=4)
    network = fitted(graphs, fitting, outputs=3, seed=(0,))
    chosen = np.array([29, 4, 11])
    with torch.no_grad():
        alone = [network(graphs[int(n)])[0].numpy() for n in chosen]
    np.testing.assert_allclose(
        told(network, Graphs(graphs, chosen), fitting), alone, rtol=1e-3, atol=1e-4
    )


def test_models_are_crossed_fold_by_fold() -> None:
    seen = []

    def model(learned: Any, held_out: Any, seed: Any) -> Any:
        seen.append((learned.tolist(), held_out.tolist(), seed))
        return held_out

    division = np.array([0, 1, 0, 2])
    heard: list[tuple[int, int]] = []
    found = list(
        crossed({"m": model}, [division], seed=7, progress=lambda *x: heard.append(x))
    )
    assert seen == [
        ([1, 3], [0, 2], (7, 0, 0)),
        ([0, 2, 3], [1], (7, 0, 1)),
        ([0, 1, 2], [3], (7, 0, 2)),
    ]
    assert [part.learned for part in found] == [2, 3, 3]
    assert isinstance(found[0], Crossed) and heard == [(1, 3), (2, 3), (3, 3)]


def test_the_interval_is_wider_than_students_by_the_ratio() -> None:
    values = [0.1, 0.4, 0.2, 0.5]
    found = fold_difference(values, 0.25)
    student = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    assert found.low is not None and found.high is not None
    wider = (found.high - found.low) / (student[1] - student[0])
    assert wider == pytest.approx(math.sqrt((1 / 4 + 1 / 4) / (1 / 4)))
    assert found.mean == pytest.approx(0.3)
    assert verdict(found) == "is not told apart from"
    assert verdict(Difference(-0.2, -0.3, -0.1)) == "is worse than"
    assert verdict(Difference(0.2, 0.1, 0.3)) == "beats"
    with pytest.raises(DataError, match="at least two folds, got 1"):
        fold_difference([0.1], 0.25)


def test_the_logistic_model_is_at_its_optimum() -> None:
    draw = np.random.default_rng(0)
    rows, places = draw.normal(size=(60, 4)), draw.integers(0, 3, 60)
    found = torch.tensor(
        logistic_coefficients(rows, places, 3, 1.0), requires_grad=True
    )
    x, y = torch.from_numpy(rows), torch.from_numpy(places)
    scores = x @ found[:-1] + found[-1]
    loss = torch.nn.functional.cross_entropy(scores, y, reduction="sum")
    loss = loss + 0.5 * (found[:-1] ** 2).sum()
    (slope,) = torch.autograd.grad(loss, found)
    assert slope.abs().max() < 0.05 * float(loss.detach())
    assert slope.abs().max() < 0.02


def test_the_plain_models_are_the_loops_they_replace() -> None:
    draw = np.random.default_rng(0)
    rows, others = draw.normal(size=(40, 3)), draw.normal(size=(9, 3))
    # Most are of one class, so that the means of the others lie far out.
    labels = np.repeat([0, 1, 2], [30, 5, 5])
    rows += labels[:, None] * [1.0, 0.0, 2.0]
    others = np.concatenate([others, 3 * others])
    scaled = [(x - rows.mean(0)) / rows.std(0) for x in (rows, others)]
    means = [scaled[0][labels == label].mean(0) for label in range(3)]
    nearest = [int(np.argmin([((x - m) ** 2).sum() for m in means])) for x in scaled[1]]
    assert nearest_mean(rows, labels, others).tolist() == nearest
    assert majority(np.array([1, 0, 1, 0]), 1).tolist() == [0]
    targets = rows @ [1.0, -2.0, 0.5] + 3
    np.testing.assert_allclose(
        linear(rows, targets, others), others @ [1.0, -2.0, 0.5] + 3
    )
    # A column that is the same everywhere, and what a column lacks, tell nothing.
    rows[:, 2], others[:, 2] = 5, 9
    targets = rows @ [1.0, -2.0, 0.0]
    np.testing.assert_allclose(
        linear(rows, targets, others), others @ [1.0, -2.0, 0.0], atol=1e-9
    )
    rows[:, 2], others[:, 2] = np.nan, 1
    np.testing.assert_allclose(
        linear(rows, targets, others), others @ [1.0, -2.0, 0.0], atol=1e-9
    )


def test_what_a_run_lacks_is_the_mean_of_what_was_learned_from() -> None:
    rows, targets = np.array([[1.0], [3.0], [np.nan]]), np.array([1.0, 3.0, 2.0])
    told = linear(rows, targets, np.array([[np.nan], [4.0]]))
    np.testing.assert_allclose(told, [2, 4])


def test_what_cannot_be_learned_is_said(tmp_path: Path) -> None:
    dag = from_text("complete", n=2, seed=0)
    labels = np.arange(12) % 3
    ones = np.ones((12, dag.number_of_edges()))
    fixed = stored(tmp_path / "f", [dag], [ones], labels, lambda i, j: True)
    with pytest.raises(DataError, match="got 6 edges that are constant"):
        class_test(fixed, QUICK)
    learned = stored(tmp_path / "l", [dag], [ones / 2], labels)
    with pytest.raises(DataError, match="weigh the same for all samples"):
        class_test(learned, QUICK)
    varied = ones * np.arange(12)[:, None]
    one = stored(tmp_path / "o", [dag], [varied], 0 * labels)
    with pytest.raises(DataError, match="at least two classes must .* got 1"):
        class_test(one, QUICK)
    few = stored(tmp_path / "w", [dag], [varied], labels)
    with pytest.raises(DataError, match="got folds=5 and 4 of class 0"):
        class_test(few, QUICK, folds=5)
    with pytest.raises(DataError, match="folds must be at least 2, got 1"):
        class_test(few, QUICK, folds=1)
    for name, value in (("epochs", 0), ("hidden", 0), ("layers", -1)):
        with pytest.raises(RunError, match=f"{name} must be at least 1, got {value}"):
            Fitting(**{"epochs": 1, name: value})  # type: ignore[arg-type]
    with pytest.raises(RunError, match="learning_rate must be finite"):
        Fitting(epochs=1, learning_rate=math.nan)


def test_which_runs_cannot_be_learned_from_is_said(tmp_path: Path) -> None:
    some = sources_decide(tmp_path / "s", 12, finished=8)
    runs = finished_runs(some, "test_accuracy")
    assert (len(runs.rows), runs.planned) == (8, 12)
    with pytest.raises(DataError, match="got 8 of 8 finished runs, and folds=5"):
        result_test(runs, QUICK)
    with pytest.raises(DataError, match="'nonsense', which run-0 lacks; there are"):
        finished_runs(some, "nonsense")
    with pytest.raises(DataError, match="got 'model', which run-0 lacks"):
        finished_runs(some, "model")
    with pytest.raises(DataError, match="total_macs must differ .* got 1 in all 8"):
        finished_runs(some, "total_macs")
    none = sources_decide(tmp_path / "n", 3, finished=0)
    with pytest.raises(DataError, match="must hold finished runs, got none of 3"):
        finished_runs(none, "test_accuracy")
    with pytest.raises(RunError, match="must hold sweep.json"):
        finished_runs(tmp_path, "test_accuracy")


def test_what_is_measured_is_the_mean_of_two_that_are_compared(tmp_path: Path) -> None:
    folder = sources_decide(tmp_path / "s", 8)
    draws = iter(np.random.default_rng(0).random((2, 8)))
    kept, orders = [], []

    def measure(_: Any, names: list[str]) -> dict[str, float]:
        kept.append(next(draws))
        orders.append(names)
        return {name: kept[-1][int(name.removeprefix("run-"))] for name in names}

    runs = finished_runs(folder, "inference_ms", measure=measure)
    np.testing.assert_allclose(runs.targets, np.mean(kept, 0))
    assert runs.rows[3]["inference_ms"] == runs.targets[3]
    assert runs.graphs[3].y.item() == pytest.approx(runs.targets[3])
    assert orders[0] == orders[1][::-1] == [row["run"] for row in runs.rows]
    expected = stats.pearsonr(kept[0], kept[1]).statistic
    assert runs.agreement == pytest.approx(expected)
    assert finished_runs(folder, "test_accuracy").agreement is None
