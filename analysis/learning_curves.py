"""Learning curves: loss and accuracy over epochs, with a band over seeds."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ddw_graph.analysis.pictures import MARKERS, legend_below, panels, plain, styled
from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group
from ddw_graph.training.run import Run

CURVES = ["train_loss", "test_loss", "train_accuracy", "test_accuracy"]
"""The columns of a classifier's log that are drawn."""

LINES: Any = {"test": "-", "train": ":"}


def curves_of(groups: Sequence[Group]) -> pd.DataFrame:
    """Returns a row for each epoch that all runs of a configuration have.

    Returns:
        ``entry``, ``epoch`` (from 1), ``runs``, and of each of ``CURVES`` the mean over
        runs and, as ``train_loss_std``, their standard deviation (NaN for one run).

    Raises:
        RunError: If a log is missing, damaged or empty, or not a classifier's.
    """
    tables = []
    for group in groups:
        logs = [Run(run).log for run in group.runs.values()]
        rows = [row for log in logs for row in log[: min(map(len, logs))]]
        if not all(name in row for name in CURVES for row in rows):
            raise RunError(f"logs of {group.name} must have {', '.join(CURVES)}")
        epochs = pd.DataFrame(rows).groupby("epoch")[CURVES]
        table = epochs.mean().join(epochs.std().add_suffix("_std")).reset_index()
        tables.append(table.assign(entry=group.name, runs=len(logs)))
    return pd.concat(tables, ignore_index=True)


@styled
def curve_figure(curves: pd.DataFrame, *, title: str | None = None) -> Figure:
    """Returns loss and accuracy over epochs, from what ``curves_of`` returns.

    Of several runs the mean with a band of one standard deviation. Colour and marker
    are those of a configuration; lines of tests are solid, those of training dotted.
    """
    entries = list(curves.groupby("entry", sort=False))
    figure, (axes,) = panels(1, 2, (8.5, 3.8 + 0.1 * len(entries)))
    for ax, what, unit in zip(axes, ("loss", "accuracy"), (1, 100), strict=True):
        for place, (name, rows) in enumerate(entries):
            colour, epoch = f"C{place}", rows["epoch"].to_numpy()
            runs = int(rows["runs"].iloc[0])
            label = plain(str(name))
            label += f" ({runs} runs, mean and std)" if runs > 1 else ""
            for split, line in LINES.items():
                mean, std = (
                    unit * rows[f"{split}_{what}{end}"].to_numpy()
                    for end in ("", "_std")
                )
                ax.plot(
                    epoch,
                    mean,
                    color=colour,
                    marker=MARKERS[place % len(MARKERS)],
                    linestyle=line,
                    linewidth=1.3,
                    markersize=3.5,
                    markevery=max(1, len(mean) // 8),
                    label=label if split == "test" else None,
                )
                if runs > 1:
                    low, high = mean - std, mean + std
                    ax.fill_between(epoch, low, high, color=colour, alpha=0.15, lw=0)
        ax.set(xlabel="epoch", title=what.capitalize())
        ax.xaxis.get_major_locator().set_params(integer=True)
    axes[0].set_ylabel("loss")
    axes[1].set_ylabel("accuracy, %")
    for split, line in LINES.items():
        axes[0].add_line(Line2D([], [], color="0.3", linestyle=line, label=split))
    if title:
        figure.suptitle(title)
    legend_below(figure, axes)
    return figure
