"""Learning curves: loss and accuracy over epochs, with a band over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddw_graph.analysis.pictures import MARKERS, STYLE, plain
from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group
from ddw_graph.training.run import Run

CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
"""The columns of a classifier's log that are drawn."""

SPLITS: dict[str, Literal["-", ":"]] = {"test": "-", "train": ":"}


@dataclass(frozen=True)
class Curves:
    """The logs of a configuration's runs, over epochs.

    Args:
        name: What the legend calls it.
        values: For each of ``CURVES`` a row a run and a column an epoch.
    """

    name: str
    values: dict[str, Float[np.ndarray, "runs epochs"]]

    def mean(self, column: str) -> Float[np.ndarray, " epochs"]:
        """Returns the mean over runs."""
        mean: np.ndarray = self.values[column].mean(0)
        return mean

    def band(
        self, column: str
    ) -> tuple[Float[np.ndarray, " epochs"], Float[np.ndarray, " epochs"]] | None:
        """Returns mean -/+ standard deviation over runs; None where there is one."""
        values = self.values[column]
        if len(values) < 2:
            return None
        mean, std = values.mean(0), values.std(0, ddof=1)
        return mean - std, mean + std


def curves_of(group: Group) -> Curves:
    """Returns the curves of a configuration, over the epochs that all its runs have.

    Raises:
        RunError: If a log is missing, damaged or empty, or not a classifier's.
    """
    logs = [Run(run).log for run in group.runs.values()]
    if not all(name in row for name in CURVES for log in logs for row in log):
        raise RunError(f"logs of {group.name} must have {', '.join(CURVES)}")
    epochs = min(map(len, logs))
    values = {
        name: np.array([[row[name] for row in log[:epochs]] for log in logs])
        for name in CURVES
    }
    return Curves(group.name, values)


def curve_figure(curves: Sequence[Curves], *, title: str | None = None) -> Figure:
    """Returns loss and accuracy over epochs; of several runs the mean with a band
    of one standard deviation.

    Colour and marker are those of a configuration; lines of tests are solid, those of
    training dotted.

    Args:
        curves: The curves of each configuration.
        title: Title of the figure.
    """
    with matplotlib.rc_context(fname=STYLE):
        colours = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        names = 1 + -(-len(curves) // 2)
        figure = Figure(figsize=(8.5, 3.6 + 0.2 * names), layout="constrained")
        axes = figure.subplots(1, 2)
        handles = []
        for place, each in enumerate(curves):
            look = {
                "color": colours[place % len(colours)],
                "marker": MARKERS[place % len(MARKERS)],
            }
            handles.append(Line2D([], [], label=_label(each), markersize=4, **look))
            for ax, what, unit in zip(
                axes, ("loss", "accuracy"), (1, 100), strict=True
            ):
                for split, line in SPLITS.items():
                    _draw(ax, each, f"{split}_{what}", unit, line, look)
        handles += [
            Line2D([], [], color="0.3", linestyle=line, label=split)
            for split, line in SPLITS.items()
        ]
        axes[0].set(xlabel="epoch", ylabel="loss", title="Loss")
        axes[1].set(xlabel="epoch", ylabel="accuracy, %", title="Accuracy")
        for ax in axes:
            ax.xaxis.get_major_locator().set_params(integer=True)
        if title:
            figure.suptitle(title)
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def _label(curves: Curves) -> str:
    runs = len(curves.values[CURVES[0]])
    name = plain(curves.name)
    return name if runs == 1 else f"{name} ({runs} runs, mean and sd)"


def _draw(
    ax: matplotlib.axes.Axes,
    curves: Curves,
    column: str,
    unit: int,
    line: Literal["-", ":"],
    look: dict[str, str],
) -> None:
    """Draws a line and its band."""
    mean = unit * curves.mean(column)
    epochs = np.arange(1, len(mean) + 1)
    ax.plot(
        epochs,
        mean,
        linestyle=line,
        linewidth=1.3,
        markersize=3.5,
        markevery=max(1, len(mean) // 8),
        **look,  # type: ignore[arg-type]
    )
    band = curves.band(column)
    if band is not None:
        low, high = band
        ax.fill_between(
            epochs,
            unit * low,
            unit * high,
            color=look["color"],
            alpha=0.15,
            linewidth=0,
        )
