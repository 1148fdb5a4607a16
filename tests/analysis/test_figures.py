"""Pictures show the numbers that they are of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import accuracy_figure, budget_figure
from ddw_graph.analysis.figures import (
    class_heatmaps,
    weight_heatmaps,
    weight_histograms,
)
from ddw_graph.analysis.pictures import rendered, save_figure
from ddw_graph.analysis.wiring_figures import learning_figure, sample_figure
from ddw_graph.errors import DataError, FileError
from ddw_graph.training.edge_log import EdgeRow
from tests.analysis.test_collect import stored


def test_the_histogram_holds_every_weight_once() -> None:
    weights = np.random.default_rng(0).random((50, 3))
    collection = stored(weights, [True, False, False])
    (ax,) = weight_histograms({"a": collection}).axes
    (steps,) = ax.patches
    values = steps.get_data().values  # type: ignore[attr-defined]
    assert sum(values) == pytest.approx(100)
    counts, _ = np.histogram(weights[:, 1:].astype(np.float32), 50, (0, 1))
    np.testing.assert_allclose(values, counts)


def test_a_stage_without_weights_is_an_empty_panel() -> None:
    collection = stored(np.full((4, 3), 0.5), [False] * 3)
    constant = replace(collection.stages[0], constant=np.ones(3, bool))
    both = replace(
        collection,
        stages=(constant, *collection.stages),
        arrays=2 * collection.arrays,
    )
    for figure in (weight_histograms(both), weight_heatmaps(both)):
        assert rendered(figure, ".png")
    first, second = weight_histograms(both).axes
    assert (len(first.patches), len(second.patches)) == (0, 1)


@pytest.mark.parametrize("column", ["mean", "std"])
def test_the_heatmap_is_the_table(column: str) -> None:
    weights = np.random.default_rng(0).random((9, 3)).astype(np.float32)
    collection = stored(weights, [True, False, False])
    figure = weight_heatmaps(collection, column)
    (image,) = figure.axes[0].images
    shown: np.ndarray = np.ma.filled(np.ma.asarray(image.get_array()), np.nan)
    exact = getattr(weights.astype(np.float64), column)(axis=0)
    expected = np.full((3, 3), np.nan)
    expected[2, :2] = exact[1:]
    np.testing.assert_allclose(shown, expected)


def test_the_comparison_shows_means_and_intervals() -> None:
    rows = [
        {"entry": entry, "seed": seed, "test_accuracy": 0.8 + 0.01 * seed + plus}
        for entry, plus in (("a", 0), ("b", 0.05))
        for seed in (0, 1)
    ]
    summary = [
        {"entry": "a", "accuracy": 80.5, "difference": None, "difference_low": None},
        {
            "entry": "b",
            "accuracy": 85.5,
            "difference": 5.0,
            "difference_low": 4.0,
            "difference_high": 6.0,
        },
    ]
    left, right = accuracy_figure(rows, summary).axes
    shown = [np.asarray(line.get_xdata(), np.float64).tolist() for line in left.lines]
    assert np.concatenate(shown).tolist() == pytest.approx([80, 81, 80.5, 85, 86, 85.5])
    np.testing.assert_allclose(np.asarray(right.lines[-1].get_xdata()), [4, 6])


def test_budgets_are_drawn_over_time_and_apart_over_macs() -> None:
    points = [  # entry, wiring, budget, ms, expected MACs, accuracy
        ("a 1", "a", 1.0, 0.4, 4e6, 86.0),
        ("a 0.5", "a", 0.5, 0.3, 2e6, 85.0),
        ("b", "b", None, 0.2, None, 80.0),
    ]
    rows = [
        {"entry": entry, "wiring": wiring, "edges": "dynamic", "budget": budget}
        for entry, wiring, budget, *_ in points
    ]
    summary = [
        {
            "entry": entry,
            "inference_ms": time,
            "expected_macs": macs,
            "total_macs": 4e6,
            "accuracy": accuracy,
            "accuracy_std": None,
        }
        for entry, _, _, time, macs, accuracy in points
    ]
    time, macs = budget_figure(rows, summary).axes
    drawn = [
        [np.column_stack(line.get_data()).tolist() for line in ax.lines]
        for ax in (time, macs)
    ]
    assert drawn[0] == [[[0.3, 85.0], [0.4, 86.0]], [[0.2, 80.0]]]
    assert drawn[1] == [[[2.0, 85.0], [4.0, 86.0]], []]
    assert [text.get_text() for text in time.texts] == ["budget 0.5", "budget 1", ""]
    assert [text.get_text() for text in macs.texts] == ["50.0%", "100.0%"]
    assert time.get_xlabel() == "inference, ms an image"
    assert macs.get_xlabel() == "expected MACs of an image, M"


def test_a_picture_is_of_a_known_kind_and_replaces_nothing(tmp_path: Path) -> None:
    figure = Figure()
    figure.add_subplot()
    for ending, magic in (("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")):
        path = tmp_path / f"a.{ending}"
        save_figure(figure, path)
        assert path.read_bytes().startswith(magic)
    with pytest.raises(FileError, match="got '.bmp'"):
        save_figure(figure, tmp_path / "a.bmp")
    (tmp_path / "b.png").write_bytes(b"mine")
    with pytest.raises(FileError, match="overwrite"):
        save_figure(figure, tmp_path / "b.png")


def panels(figure: Figure) -> list[np.ndarray]:
    """Returns what the matrices of a figure show, NaN where nothing is."""
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    return [np.ma.filled(np.ma.asarray(array), np.nan) for array in shown]


def test_classes_are_shown_by_how_they_differ() -> None:
    weights = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    labels = np.arange(30) % 3
    collection = stored(weights, [False, False, True], label=labels)
    exact = weights.astype(np.float64)
    shown = panels(class_heatmaps(collection))
    assert len(shown) == 3
    for label, matrix in enumerate(shown):
        off = exact[labels == label].mean(0) - exact.mean(0)
        expected = np.full((3, 3), np.nan)
        expected[1, 0], expected[2, 0] = off[:2]  # the third edge is constant
        np.testing.assert_allclose(matrix, expected, atol=1e-12)
    (one,) = panels(class_heatmaps(collection, ["b"]))
    np.testing.assert_array_equal(one, shown[1])
    few = class_heatmaps(replace(collection, classes=tuple(map(str, range(99)))))
    assert len(panels(few)) == 3 and few.get_suptitle() == "Mean wiring of each class"
    with pytest.raises(DataError, match="one of a, b, c, which have samples, got 'd'"):
        class_heatmaps(collection, ["d"])


def test_a_sample_is_drawn_with_its_own_weights() -> None:
    weights = np.array([[0.5, 0.5, 0.5], [0.9, 0.0, 0.3]])
    known = {"label": np.array([0, 2]), "prediction": np.array([1, 0])}
    collection = stored(weights, [False] * 3, **known, loss=np.array([0.5, 0.25]))
    figure = sample_figure(collection, 1)
    (ax,) = figure.axes
    assert ax.get_title() == "stage 1: weights 0.3 to 0.9, 1 closed"
    title = figure.get_suptitle()
    assert title == "sample 1: c, predicted as a, loss 0.25"
    assert sample_figure(stored(weights, [False] * 3), 1).get_suptitle() == "sample 1"
    assert "weights 0.5 to 0.5" in sample_figure(collection, 0).axes[0].get_title()
    for sample in (-1, 2):
        with pytest.raises(DataError, match=r"sample must be in \[0, 1\]"):
            sample_figure(collection, sample)


def test_learning_has_a_line_for_each_edge() -> None:
    rows = [
        EdgeRow(epoch, stage, 0, target, epoch / 10 + target, stage / 100)
        for epoch in (1, 2, 3)
        for stage in (1, 2)
        for target in (1, 2)
    ]
    figure = learning_figure(rows)
    means, stds = figure.axes[:2], figure.axes[2:4]
    for stage, (above, below) in enumerate(zip(means, stds, strict=True), 1):
        for target, line in enumerate(above.lines, 1):
            heights = np.asarray(line.get_ydata(), dtype=np.float64)
            np.testing.assert_allclose(heights, target + np.array([0.1, 0.2, 0.3]))
        for line in below.lines:
            heights = np.asarray(line.get_ydata(), dtype=np.float64)
            np.testing.assert_allclose(heights, stage / 100)
    with pytest.raises(DataError, match="an epoch with weights"):
        learning_figure([])
