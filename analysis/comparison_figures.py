"""Pictures of a comparison: accuracies, and accuracy over time and over MACs."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, STYLE, plain


def accuracy_figure(
    rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> Figure:
    """Returns accuracies of a comparison, and the paired differences to its first.

    Args:
        rows: A row for each run, with ``entry``, ``seed`` and ``test_accuracy``.
        summary: A row for each entry, from ``ddw_graph.experiments.summary.summary``.
    """
    names = [row["entry"] for row in summary]
    place = {name: index for index, name in enumerate(names)}
    with matplotlib.rc_context(fname=STYLE):
        height = 1.3 + 0.45 * len(names)
        figure = Figure(figsize=(8.5, height), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        left.scatter(
            [100 * row["test_accuracy"] for row in rows],
            [place[row["entry"]] for row in rows],
            s=18,
            alpha=0.6,
            label="a seed",
        )
        left.scatter(
            [row["accuracy"] for row in summary],
            range(len(names)),
            marker="|",
            s=260,
            color="black",
            label="mean",
        )
        left.set_yticks(range(len(names)), map(plain, names))
        left.set_ylim(len(names) - 0.5, -0.5)
        left.set(xlabel="test accuracy, %", title="Accuracy")
        figure.legend(loc="outside lower left", ncols=2)
        right.axvline(0, color="0.6", linewidth=0.8)
        for row in summary[1:]:
            y = place[row["entry"]]
            right.plot(row["difference"], y, "o", color="C1", markersize=4)
            if row["difference_low"] is not None:
                ends = row["difference_low"], row["difference_high"]
                right.plot(ends, (y, y), color="C1", linewidth=1.4)
        right.set(
            xlabel=f"points, paired by seed, against {names[0]}",
            title="Difference with its 95 % interval",
        )
    return figure


def budget_figure(
    rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> Figure:
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
