"""The picture of a sweep: accuracy over properties of the wirings' graphs."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, STYLE, plain

PANELS = (
    ("clustering", "clustering coefficient"),
    ("average_path_length", "average path length"),
)

MEASURED = {
    "run",
    "seed",
    "channels",
    "graph_edges",
    "depth",
    "fan_in",
    "clustering",
    "average_path_length",
}
"""Columns that differ between the seeds of one setting, besides the result's."""


def graph_figure(rows: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Figure:
    """Returns accuracies over clustering coefficient and average path length.

    A faint point is a run, a full one the mean over the seeds of a setting. Colours are
    generators, markers edges: each setting of them, or their kinds where those are more
    than there are markers. Properties are those of the nodes that compute,
    directions left aside, means over the stages; a run without a path length is left
    out of that panel.

    Args:
        rows: A row for each run, from ``ddw_graph.sweeping.table.table``.
        axes: The columns that vary from run to run.

    Source:
        Xie et al. 2019, arXiv:1904.01569; You et al. 2020, arXiv:2007.06559, Fig. 4.
    """
    varied = [name for name in axes if name not in MEASURED]
    families = list(dict.fromkeys(_family(row) for row in rows))
    edges = _edges_named(rows)
    named = list(dict.fromkeys(edges.values()))
    settings: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in rows:
        settings.setdefault(tuple(row.get(name) for name in varied), []).append(row)
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(8.5, 4.2), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for ax, (column, label) in zip(panels, PANELS, strict=True):
            for group in settings.values():
                known = [row for row in group if row[column] is not None]
                if not known:
                    continue
                family, kind = _family(known[0]), edges[str(known[0]["edges"])]
                look = {
                    "color": f"C{families.index(family) % 7}",
                    "marker": MARKERS[named.index(kind) % len(MARKERS)],
                    "linestyle": "none",
                }
                x = [row[column] for row in known]
                y = [100 * row["test_accuracy"] for row in known]
                ax.plot(x, y, markersize=3.5, alpha=0.35, **look)
                name = " ".join(filter(None, (family, kind)))
                mean = statistics.fmean(x), statistics.fmean(y)
                ax.plot(*mean, markersize=6, label=plain(name), **look)
            ax.set(xlabel=label, title=f"Accuracy over {label}")
        panels[0].set_ylabel("test accuracy, %")
        drawn: dict[str, Any] = {}
        for ax in panels:
            handles, labels = ax.get_legend_handles_labels()
            drawn |= dict(zip(labels, handles, strict=True))
        if drawn:
            figure.legend(
                drawn.values(), drawn.keys(), loc="outside lower center", ncols=4
            )
    return figure


def _family(row: Mapping[str, Any]) -> str:
    """Returns the generator of a row's wiring."""
    return str(row["wiring"]).partition(":")[0]


def _edges_named(rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns what the edges of the rows are called, by what the rows have."""
    settings = dict.fromkeys(str(row["edges"]) for row in rows)
    if len(settings) <= len(MARKERS):
        return {each: each for each in settings}
    return {each: each.partition(":")[0] for each in settings}
