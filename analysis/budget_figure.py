"""The picture of a comparison of budgets: accuracy over time and over MACs."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, STYLE, plain


def budget_figure(
    rows: Sequence[Mapping[str, Any]], summary: Sequence[Mapping[str, Any]]
) -> Figure:
    """Returns accuracies over the measured time, and beside it over expected MACs.

    The panels share the accuracy alone: what skipping would take, and what a network
    takes, are two things. A line joins the budgets of a wiring. The label at a point is
    its budget over time, and its share of the dense MACs over MACs. Accuracies, with
    their deviations, and MACs are over seeds; the time is that of the first.

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
                told = sorted(
                    (point for point in points if point[column] is not None),
                    key=lambda point: runs[point["entry"]]["budget"] or 0.0,
                )
                x = [point[column] / unit for point in told]
                ax.errorbar(
                    x,
                    [point["accuracy"] for point in told],
                    [point["accuracy_std"] or 0.0 for point in told],
                    marker=MARKERS[place % len(MARKERS)],
                    markersize=5,
                    linewidth=1.2,
                    elinewidth=0.8,
                    label=plain(name),
                )
                for at, point in zip(x, told, strict=True):
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
    """Returns what stands at a point: its budget, or over MACs their share."""
    if column == "expected_macs":
        return f"{point['expected_macs'] / point['total_macs']:.1%}"
    return "" if budget is None else f"budget {budget:g}"
