"""Pictures of a comparison: accuracies, and accuracy over time and over MACs."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, STYLE, plain

Rows = Sequence[Mapping[str, Any]]


def accuracy_figure(rows: Rows, summary: Rows) -> Figure:
    """Returns accuracies of a comparison, and the paired differences to its first.

    Args:
        rows: A row for each run, with ``entry``, ``seed`` and ``test_accuracy``.
        summary: A row for each entry, from ``ddw_graph.experiments.summary.summary``.
    """
    names = [row["entry"] for row in summary]
    figure, left, right = paired_panels(names, 1.3 + 0.45 * len(names))
    for y, row in enumerate(summary):
        runs = [r["test_accuracy"] for r in rows if r["entry"] == row["entry"]]
        draw_accuracies(left, y, runs, row["accuracy"], color="C0", marker="o")
        draw_difference(right, y, row, "difference", color="C1", marker="o")
    left.set(xlabel="test accuracy, % (line: mean)", title="Accuracy")
    right.set(
        xlabel=f"points, paired by seed, against {names[0]}",
        title="Difference with its 95 % interval",
    )
    return figure


def paired_panels(names: Sequence[str], height: float) -> tuple[Figure, Axes, Axes]:
    """Returns a figure of two panels with a row for each name, and these panels."""
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(8.5, height), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.set_yticks(range(len(names)), map(plain, names))
        left.set_ylim(len(names) - 0.5, -0.5)
        right.axvline(0, color="0.6", linewidth=0.8)
    return figure, left, right


def draw_accuracies(
    ax: Axes, y: float, accuracies: Sequence[float], mean: float, **look: Any
) -> None:
    """Draws accuracies of runs as points, and a line at their mean, %."""
    x = [100 * accuracy for accuracy in accuracies]
    ax.plot(x, [y] * len(x), linestyle="none", markersize=4, alpha=0.6, **look)
    ax.plot(mean, y, "|", color="black", markersize=11)


def draw_difference(
    ax: Axes, y: float, row: Mapping[str, Any], key: str, **look: Any
) -> None:
    """Draws a difference of a summary's row with its interval, if it has them."""
    if row[key] is None:
        return
    ax.plot(row[key], y, markersize=4, **look)
    if row[f"{key}_low"] is not None:
        ends = row[f"{key}_low"], row[f"{key}_high"]
        ax.plot(ends, (y, y), color=look["color"], linewidth=1.4)


def budget_figure(rows: Rows, summary: Rows) -> Figure:
    """Returns accuracies over the measured time, and over the expected MACs.

    Expected MACs are counted, not timed. A line joins the budgets of a wiring. The
    label at a point is its budget over time, and its share of the dense MACs over MACs.
    Accuracies, with their standard deviations, and MACs are averaged over seeds; the
    time is that of the first.

    Args:
        rows: A row for each run, with ``entry``, ``wiring``, ``edges`` and ``budget``.
        summary: A row for each entry, from ``ddw_graph.experiments.summary.summary``.
    """
    runs = {row["entry"]: row for row in rows}
    lines: dict[str, list[Mapping[str, Any]]] = {}
    for row in summary:
        run = runs[row["entry"]]
        lines.setdefault(f"{run['wiring']} {run['edges']}", []).append(row)
    panels = (
        ("inference_ms", 1.0, "inference, ms an image", "Measured time"),
        (
            "expected_macs",
            1e6,
            "expected MACs of an image, M",
            "Expected MACs and their share",
        ),
    )
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(8.5, 3.9), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (column, unit, label, title) in zip(axes, panels, strict=True):
            for place, (name, points) in enumerate(lines.items()):
                # By the budget, so that a line goes from one to the next.
                ordered = sorted(
                    (point for point in points if point[column] is not None),
                    key=lambda point: runs[point["entry"]]["budget"] or 0.0,
                )
                x = [point[column] / unit for point in ordered]
                ax.errorbar(
                    x,
                    [point["accuracy"] for point in ordered],
                    [point["accuracy_std"] or 0.0 for point in ordered],
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=5,
                    linewidth=1.2,
                    elinewidth=0.8,
                    label=plain(name),
                )
                for at, point in zip(x, ordered, strict=True):
                    ax.annotate(
                        _words(point, runs[point["entry"]]["budget"], column),
                        (at, point["accuracy"]),
                        xytext=(5, -10),
                        textcoords="offset points",
                        fontsize=7,
                    )
            # From 0, so that a half looks like one.
            most = max((row[column] or 0.0 for row in summary), default=0.0) / unit
            ax.set(xlabel=label, title=title, xlim=(0, 1.2 * most or 1.0))
            ax.margins(y=0.2)
        axes[0].set_ylabel("test accuracy, %")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _words(point: Mapping[str, Any], budget: float | None, column: str) -> str:
    """Returns the label of a point: its budget, or over MACs their share."""
    if column == "expected_macs":
        return f"{point['expected_macs'] / point['total_macs']:.1%}"
    return "" if budget is None else f"budget {budget:g}"
