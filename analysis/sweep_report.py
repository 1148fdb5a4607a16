"""The report of a sweep: its table, and accuracy over properties of the graphs."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, legend_below, plain, styled
from ddw_graph.analysis.report_files import write_files
from ddw_graph.experiments.summary import metric_of
from ddw_graph.training.run_folder import RunFolder

PANELS = {
    "clustering": "clustering coefficient",
    "average_path_length": "average path length",
}

MEASURED = {"run", "seed", "channels", "graph_edges", "depth", "fan_in", *PANELS}
"""Columns that differ between the seeds of one setting, besides the result's."""


def write_sweep_report(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Writes ``runs.csv`` and ``graphs.png`` of a sweep, and returns their paths.

    Both are of the runs that have finished; without any there is nothing to write.

    Args:
        folder: The sweep's folder.
        rows: A row for each run that has finished, from ``table``.
    """
    if not rows:
        return []
    axes = RunFolder(folder).content()["config"]["axes"]
    pictures = {"graphs": graph_figure(rows, axes)}
    return write_files(folder, tables={"runs": rows}, pictures=pictures)


@styled
def graph_figure(rows: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Figure:
    """Returns scores over clustering coefficient and average path length.

    A score is the accuracy on the test images, or a language model's held-out loss.

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
    table = pd.DataFrame(rows)
    metric = metric_of(rows)
    table["score"] = metric.scale * table[metric.key]
    table["family"] = table["wiring"].astype(str).str.partition(":")[0]
    table["kind"] = table["edges"].astype(str)
    if table["kind"].nunique() > len(MARKERS):
        table["kind"] = table["kind"].str.partition(":")[0]
    families, kinds = (list(table[name].unique()) for name in ("family", "kind"))
    # Values of a plan may be lists, which pandas does not group by.
    varied = table[[name for name in axes if name not in MEASURED]].astype(str)
    table["setting"] = varied.agg(" ".join, axis=1) if len(varied.columns) else ""
    figure = Figure(figsize=(8.5, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for ax, (column, label) in zip(panels, PANELS.items(), strict=True):
        points = table.assign(x=table[column].astype(float)).dropna(subset="x")
        for _, group in points.groupby("setting", sort=False):
            family, kind = group[["family", "kind"]].iloc[0]
            look = {
                "color": f"C{families.index(family) % 7}",
                "marker": MARKERS[kinds.index(kind) % len(MARKERS)],
                "linestyle": "none",
            }
            ax.plot(group["x"], group["score"], markersize=3.5, alpha=0.35, **look)
            mean = group[["x", "score"]].mean()
            ax.plot(*mean, markersize=6, label=plain(f"{family} {kind}"), **look)
        ax.set(xlabel=label, title=f"{metric.name.capitalize()} over {label}")
    panels[0].set_ylabel(metric.title)
    legend_below(figure, panels, ncols=4)
    return figure
