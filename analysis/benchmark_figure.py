"""The picture of benchmarks: ratios compared with 1, and growth."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from ddw_graph.analysis.benchmark_tables import latency_label
from ddw_graph.analysis.pictures import MARKERS, plain, styled
from ddw_graph.errors import DataError


@styled
def benchmark_figure(report: Mapping[str, Any]) -> Figure:
    """Returns ratios with their spread, and times over sizes on log axes.

    Left of the line at 1 less was taken than by what it is relative to. Edges are not
    drawn: their curves are those of the nodes that they belong to.

    Args:
        report: From ``ddw_graph.benchmarking.report.report``.

    Raises:
        DataError: If it holds nothing.
    """
    rows = [*report["measurements"], *map(_of_latency, report.get("latencies", ()))]
    curves = [curve for curve in report["curves"] if curve["axis"] != "edges"]
    axes_of_growth = list(dict.fromkeys(curve["axis"] for curve in curves))
    if not rows and not curves:
        raise DataError("a picture of benchmarks needs one that ran, got none")
    tall = 1.2 + 0.3 * len(rows) if rows else 0.0
    low = 3.2 if curves else 0.0
    figure = Figure(figsize=(9, tall + low), layout="constrained")
    heights = [height for height in (tall, low) if height]
    parts = iter(
        figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0]
    )
    if rows:
        _draw_ratios(next(parts).subplots(), rows)
    if curves:
        panels = next(parts).subplots(1, len(axes_of_growth), squeeze=False)[0]
        for ax, axis in zip(panels, axes_of_growth, strict=True):
            _draw_growth(ax, axis, [c for c in curves if c["axis"] == axis])
    return figure


def _of_latency(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a latency as a measurement relative to the first network's."""
    case = f"{row['engine']}, batch {row['batch']}, {row['size']} px"
    names = {"what": latency_label(row), "to": "the first"}
    return {"benchmark": "latency", "case": case, **names, "ratio": row["ratio"]}


def _draw_ratios(ax: Axes, rows: Sequence[Mapping[str, Any]]) -> None:
    ax.axvline(1, color="black", linewidth=0.8)
    names = list(dict.fromkeys(row["benchmark"] for row in rows))
    for place, name in enumerate(names):
        own = [y for y, row in enumerate(rows) if row["benchmark"] == name]
        ratios = pd.DataFrame([rows[y]["ratio"] for y in own])
        ax.hlines(own, ratios["low"], ratios["high"], color=f"C{place}")
        ax.plot(
            ratios["median"],
            own,
            linestyle="",
            marker=MARKERS[place % len(MARKERS)],
            markersize=4.5,
            color=f"C{place}",
            label=plain(name),
        )
    labels = [plain(f"{row['case']}\n{row['what']} / {row['to']}") for row in rows]
    ax.set_yticks(range(len(rows)), labels, fontsize=6)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xscale("log")
    _plain_ticks(ax.xaxis)
    ax.set(xlabel="ratio, median and middle half of the pairs; below 1 took less")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=7)


def _draw_growth(ax: Axes, axis: str, curves: Sequence[Mapping[str, Any]]) -> None:
    for place, curve in enumerate(curves):
        ms = 1e3 * pd.DataFrame(curve["seconds"])[["low", "median", "high"]]
        words = curve["act"].split(",")[0]
        slope = curve["exponent"]["median"]
        ax.plot(
            curve["sizes"],
            ms["median"],
            marker=MARKERS[place % len(MARKERS)],
            markersize=4,
            label=f"{words}, exponent {slope:.2f}",
        )
        ax.fill_between(curve["sizes"], ms["low"], ms["high"], alpha=0.25)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xticks(curves[0]["sizes"], [f"{size}" for size in curves[0]["sizes"]])
    ax.set_xticks([], minor=True)
    _plain_ticks(ax.yaxis)
    fixed = curves[0]["act"].partition(", ")[2]
    ax.set(xlabel=axis, ylabel="time, ms", title=f"Growth with {axis}: {fixed}")
    ax.legend(fontsize=7)


def _plain_ticks(axis: Axis) -> None:
    """Gives a log axis ticks at 1, 2, 5, 10, ..., without powers."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())
