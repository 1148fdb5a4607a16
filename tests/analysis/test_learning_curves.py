"""Learning curves are the means and standard deviations of the logs."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import PolyCollection

from ddw_graph.analysis.learning_curves import CURVES, curve_figure, curves_of
from ddw_graph.analysis.pictures import rendered
from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group
from ddw_graph.training.run_folder import RunFolder


def group(folder: Path, lengths: tuple[int, ...], name: str = "ddw") -> Group:
    runs = {}
    for seed, epochs in enumerate(lengths):
        values = np.random.default_rng(seed).random((epochs, 4)).tolist()
        runs[seed] = folder / name / str(seed)
        runs[seed].mkdir(parents=True)
        (runs[seed] / "config.json").write_text('{"config": {}}')
        RunFolder(runs[seed]).write_log(
            [
                {"epoch": float(epoch), **dict(zip(CURVES, row, strict=True))}
                for epoch, row in enumerate(values, start=1)
            ]
        )
    return Group(name, runs)


def curves(entry: str, epochs: int) -> pd.DataFrame:
    columns = [*CURVES, *(f"{name}_std" for name in CURVES)]
    table = pd.DataFrame(1.0, range(epochs), columns)
    return table.assign(entry=entry, epoch=range(1, epochs + 1), runs=1)


def test_means_and_deviations_are_numpys_over_the_epochs_of_all(tmp_path: Path) -> None:
    found = curves_of([group(tmp_path, (5, 4, 6)), group(tmp_path, (3,), "alone")])
    assert found["runs"].tolist() == [3] * 4 + [1] * 3
    assert found["epoch"].tolist() == [1, 2, 3, 4, 1, 2, 3]
    logs = np.array([np.random.default_rng(s).random((6, 4))[:4] for s in range(3)])
    np.testing.assert_allclose(found[CURVES][:4], logs.mean(0))
    deviations = found[[f"{name}_std" for name in CURVES]]
    np.testing.assert_allclose(deviations[:4], logs.std(0, ddof=1))
    assert deviations[4:].isna().all(axis=None)


def test_a_log_without_accuracies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": {}}')
    RunFolder(tmp_path).write_log([{"epoch": 1.0, "train_loss": 1.0}])
    with pytest.raises(RunError, match="detector must have .*test_accuracy"):
        curves_of([Group("detector", {0: tmp_path})])


def test_the_picture_shows_lines_and_bands(tmp_path: Path) -> None:
    table = curves_of([group(tmp_path, (4, 4)), group(tmp_path, (3,), "alone")])
    loss, accuracy = curve_figure(table).axes
    drawn = [np.asarray(line.get_ydata()) for line in accuracy.lines]
    expected = [
        100 * table.loc[table["entry"] == entry, f"{split}_accuracy"]
        for entry in ("ddw", "alone")
        for split in ("test", "train")
    ]
    for line, values in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(line, values)
    bands = [each for each in loss.collections if isinstance(each, PolyCollection)]
    assert len(bands) == 2
    rows = table[table["entry"] == "ddw"]
    low, high = (rows["test_loss"] + sign * rows["test_loss_std"] for sign in (-1, 1))
    reach = bands[0].get_datalim(loss.transData)
    np.testing.assert_allclose((reach.ymin, reach.ymax), (low.min(), high.max()))


def test_no_line_looks_like_another_and_the_legend_stands_outside() -> None:
    figure = curve_figure(pd.concat([curves(f"c$_$ {at}", 3) for at in range(9)]))
    rendered(figure, ".png")  # dollars in a name are no mathematics
    looks = [
        (line.get_color(), line.get_marker(), line.get_linestyle())
        for line in figure.axes[1].lines
    ]
    assert len(set(looks)) == 18
    assert not any(ax.get_legend() for ax in figure.axes) and len(figure.legends) == 1
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(texts) == 11 and texts[-2:] == ["test", "train"]
    legend = figure.legends[0].get_window_extent()
    assert all(legend.y1 <= ax.get_tightbbox().y0 for ax in figure.axes)  # type: ignore[union-attr]


@pytest.mark.parametrize("count", [1, 40])
def test_a_line_has_a_marker_and_few_of_them(count: int) -> None:
    line, _ = curve_figure(curves("a", count)).axes[1].lines
    every = line.get_markevery()
    assert line.get_marker() == "o" and len(line.get_xdata()) == count  # type: ignore[arg-type]
    assert isinstance(every, int) and count // every <= 8
