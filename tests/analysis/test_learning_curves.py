"""Learning curves are the means and deviations of the logs."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import PolyCollection

from ddw_graph.analysis.learning_curves import CURVES, Curves, curve_figure, curves_of
from ddw_graph.analysis.pictures import rendered
from ddw_graph.experiments.groups import Group
from ddw_graph.training.run_folder import RunFolder


def group(folder: Path, lengths: tuple[int, ...], name: str = "ddw") -> Group:
    runs = {}
    for seed, epochs in enumerate(lengths):
        generator = np.random.default_rng(seed)
        runs[seed] = folder / name / str(seed)
        RunFolder(runs[seed]).start({}, resume=False)
        history = [
            {
                "epoch": float(epoch),
                **{key: float(generator.random()) for key in CURVES},
            }
            for epoch in range(1, epochs + 1)
        ]
        RunFolder(runs[seed]).write_log(history)
    return Group(name, runs)


def test_the_band_is_numpys_over_the_epochs_of_all(tmp_path: Path) -> None:
    curves = curves_of(group(tmp_path, (5, 4, 6)))
    for place, column in enumerate(CURVES):
        expected = np.array(
            [np.random.default_rng(seed).random((6, 4))[:4, place] for seed in range(3)]
        )
        np.testing.assert_allclose(curves.values[column], expected)
        np.testing.assert_allclose(curves.mean(column), np.mean(expected, axis=0))
        band = curves.band(column)
        assert band is not None
        deviation = np.std(expected, axis=0, ddof=1)
        np.testing.assert_allclose(band[0], np.mean(expected, axis=0) - deviation)
        np.testing.assert_allclose(band[1], np.mean(expected, axis=0) + deviation)


def test_the_picture_shows_lines_and_bands(tmp_path: Path) -> None:
    several = curves_of(group(tmp_path, (4, 4)))
    alone = curves_of(group(tmp_path, (3,), "alone"))
    assert alone.band("test_loss") is None
    loss, accuracy = curve_figure([several, alone]).axes
    drawn = [np.asarray(line.get_ydata()) for line in accuracy.lines]
    expected = [
        100 * each.mean(f"{split}_accuracy")
        for each in (several, alone)
        for split in ("test", "train")
    ]
    for line, values in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(line, values)
    bands = [each for each in loss.collections if isinstance(each, PolyCollection)]
    assert len(bands) == 2
    band = several.band("test_loss")
    assert band is not None
    reach = bands[0].get_datalim(loss.transData)
    np.testing.assert_allclose((reach.ymin, reach.ymax), (band[0].min(), band[1].max()))


def test_no_line_looks_like_another_and_the_legend_stands_outside() -> None:
    values = {name: np.ones((1, 3)) for name in CURVES}
    figure = curve_figure([Curves(str(place), values) for place in range(9)])
    looks = [
        (line.get_color(), line.get_marker(), line.get_linestyle())
        for line in figure.axes[0].lines
    ]
    assert len(set(looks)) == 18
    assert not any(ax.get_legend() for ax in figure.axes) and len(figure.legends) == 1
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert all(legend.y1 <= ax.get_tightbbox().y0 for ax in figure.axes)  # type: ignore[union-attr]


def test_a_line_of_one_epoch_is_seen() -> None:
    values = {name: np.ones((1, 1)) for name in CURVES}
    (line, _) = curve_figure([Curves("a", values)]).axes[0].lines
    assert line.get_marker() == "o" and len(line.get_xdata()) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 40])
def test_markers_stay_few(count: int) -> None:
    values = {name: np.ones((1, count)) for name in CURVES}
    (line, _) = curve_figure([Curves("a", values)]).axes[0].lines
    every = line.get_markevery()
    assert isinstance(every, int) and count // every <= 8


def test_dollars_in_a_name_are_no_mathematics() -> None:
    values = {column: np.zeros((1, 2)) for column in CURVES}
    figure = curve_figure([Curves("c$_$", values)], title="plain")
    assert rendered(figure, ".png")
