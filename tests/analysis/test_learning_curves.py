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
    """Returns runs with drawn logs of so many epochs."""
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


def test_lines_and_bands_are_numpys_over_the_epochs_of_all(tmp_path: Path) -> None:
    table = curves_of([group(tmp_path, (5, 4, 6)), group(tmp_path, (3,), "alone")])
    assert table["runs"].tolist() == [3] * 4 + [1] * 3
    assert table["epoch"].tolist() == [1, 2, 3, 4, 1, 2, 3]
    logs = np.array([np.random.default_rng(s).random((6, 4))[:4] for s in range(3)])
    mean, std = logs.mean(0), logs.std(0, ddof=1)
    np.testing.assert_allclose(table[CURVES][:4], mean)
    stds = table[[f"{name}_std" for name in CURVES]]
    np.testing.assert_allclose(stds[:4], std)
    assert stds[4:].isna().all(axis=None)
    loss, accuracy = curve_figure(table).axes
    test, train, *alone = (np.asarray(line.get_ydata()) for line in accuracy.lines)
    places = [CURVES.index(f"{split}_accuracy") for split in ("test", "train")]
    np.testing.assert_allclose([test, train], 100 * mean[:, places].T)
    assert [len(line) for line in alone] == [3, 3]
    bands = [each for each in loss.collections if isinstance(each, PolyCollection)]
    assert len(bands) == 2
    place = CURVES.index("test_loss")
    low, high = (mean[:, place] + sign * std[:, place] for sign in (-1, 1))
    reach = bands[0].get_datalim(loss.transData)
    np.testing.assert_allclose((reach.ymin, reach.ymax), (low.min(), high.max()))


def test_a_log_without_accuracies_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"config": {}}')
    RunFolder(tmp_path).write_log([{"epoch": 1.0, "train_loss": 1.0}])
    with pytest.raises(RunError, match="detector must have .*test_accuracy"):
        curves_of([Group("detector", {0: tmp_path})])


@pytest.mark.parametrize("epochs", [1, 40])
def test_no_line_looks_like_another_and_the_legend_stands_outside(epochs: int) -> None:
    columns = [*CURVES, *(f"{name}_std" for name in CURVES)]
    table = pd.DataFrame(1.0, range(epochs), columns)
    table = table.assign(epoch=range(1, epochs + 1), runs=1)
    figure = curve_figure(
        pd.concat([table.assign(entry=f"c$_$ {at}") for at in range(9)])
    )
    rendered(figure, ".png")  # dollars in a name are no mathematics
    lines = figure.axes[1].lines
    looks = {
        (line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines
    }
    assert len(looks) == 18
    every = lines[0].get_markevery()
    assert isinstance(every, int) and epochs // every <= 8
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert len(texts) == 11 and texts[-2:] == ["test", "train"]
    top = legend.get_window_extent().y1
    assert all(top <= ax.get_tightbbox().y0 for ax in figure.axes)  # type: ignore[union-attr]
