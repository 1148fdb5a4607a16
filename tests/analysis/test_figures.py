"""Pictures of weights show the numbers that they are of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

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


def matrices(figure: Figure) -> list[np.ndarray]:
    """Returns what the matrices of a figure show, NaN where nothing is."""
    shown = [ax.images[0].get_array() for ax in figure.axes if ax.images]
    return [np.ma.filled(np.ma.asarray(a, np.float64), np.nan) for a in shown]


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
    figure = weight_heatmaps(stored(weights, [True, False, False]), column)
    expected = np.full((3, 3), np.nan)
    expected[2, :2] = getattr(weights.astype(np.float64), column)(axis=0)[1:]
    np.testing.assert_allclose(matrices(figure)[0], expected)
    assert len(figure.axes[0].patches) == 1  # the constant edge


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


def test_classes_are_shown_by_how_they_differ() -> None:
    weights = np.random.default_rng(0).random((30, 3)).astype(np.float32)
    labels = np.arange(30) % 3
    collection = stored(weights, [False, False, True], label=labels)
    exact = weights.astype(np.float64)
    shown = matrices(class_heatmaps(collection))
    for label, matrix in enumerate(shown):
        off = exact[labels == label].mean(0) - exact.mean(0)
        expected = np.full((3, 3), np.nan)
        expected[1, 0], expected[2, 0] = off[:2]  # the third edge is constant
        np.testing.assert_allclose(matrix, expected, atol=1e-12)
    (one,) = matrices(class_heatmaps(collection, ["b"]))
    np.testing.assert_array_equal(one, shown[1])
    few = class_heatmaps(replace(collection, classes=tuple(map(str, range(99)))))
    assert len(matrices(few)) == len(shown) == 3
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
    edges = [p for p in ax.patches if str(p.get_gid()).startswith("edge")]
    widths = [edge.get_linewidth() for edge in edges]
    assert widths[0] > widths[2] and edges[1].get_linestyle() != "-"
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
    axes = learning_figure(rows).axes
    for stage, (above, below) in enumerate(zip(axes[:2], axes[2:4], strict=True), 1):
        for target, (mean, std) in enumerate(
            zip(above.lines, below.lines, strict=True), 1
        ):
            heights = np.array([mean.get_ydata(), std.get_ydata()])
            np.testing.assert_allclose(heights[0], target + np.array([0.1, 0.2, 0.3]))
            np.testing.assert_allclose(heights[1], stage / 100)
    with pytest.raises(DataError, match="an epoch with weights"):
        learning_figure([])
