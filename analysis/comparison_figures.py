"""Pictures of an experiment: scores, and over time, MACs and properties of graphs."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import MARKERS, legend_below, panels, plain, styled
from ddw_graph.experiments.summary import metric_of

Rows = Sequence[Mapping[str, Any]]

WIDTH = 8.5
"""Of a picture of two panels, inches."""

PROPERTIES = {
    "clustering": "clustering coefficient",
    "average_path_length": "average path length",
}


@styled
def accuracy_figure(rows: Rows, summary: Rows) -> Figure:
    """Returns scores of a comparison, and the paired differences to its first.

    Args:
        rows: A row for each run, with ``entry``, ``seed``, and ``test_accuracy``, or of
            language models ``test_loss``.
        summary: A row for each entry, from ``ddw_graph.experiments.summary.summary``.
    """
    metric = metric_of(rows)
    names = [row.get("name") or row["entry"] for row in summary]
    figure, left, right = paired_panels(names, 1.3 + 0.45 * len(names))
    for y, row in enumerate(summary):
        runs = [r[metric.key] for r in rows if r["entry"] == row["entry"]]
        runs = [metric.scale * value for value in runs]
        draw_scores(left, y, runs, row[metric.name], color="C0", marker="o")
        draw_difference(right, y, row, "difference", color="C1", marker="o")
    left.set(xlabel=f"{metric.title}\n(line: mean)", title=metric.name.capitalize())
    right.set(
        xlabel=fill(f"{metric.unit}, paired by seed, against {names[0]}", 34),
        title="Difference with its 95 % interval",
    )
    return figure


def paired_panels(names: Sequence[str], height: float) -> tuple[Figure, Axes, Axes]:
    """Returns a figure of two panels with a row for each name, and these panels."""
    figure, ((left, right),) = panels(1, 2, (WIDTH, height), sharey=True)
    left.set_yticks(range(len(names)), map(plain, names))
    left.set_ylim(len(names) - 0.5, -0.5)
    right.axvline(0, color="0.6", linewidth=0.8)
    return figure, left, right


def draw_scores(
    ax: Axes, y: float, scores: Sequence[float], mean: float, **look: Any
) -> None:
    """Draws scores of runs as points, and a line at their mean."""
    look |= {"linestyle": "none", "markersize": 4, "alpha": 0.6}
    ax.plot(scores, [y] * len(scores), **look)
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


@styled
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
    settings = pd.DataFrame(rows).drop_duplicates("entry")
    settings = settings[["entry", "wiring", "edges", "budget"]]
    points = pd.DataFrame(summary).drop(columns="budget", errors="ignore")
    points = points.reindex(columns=points.columns.union(["inference_ms"], sort=False))
    points = points.merge(settings, on="entry")
    numbers = ["budget", "expected_macs", "accuracy_std", "inference_ms"]
    points[numbers] = points[numbers].astype(float)
    budgets = points["budget"].map("budget {:g}".format).where(points["budget"].notna())
    share = points["expected_macs"] / points["total_macs"]
    points["M"] = points["expected_macs"] / 1e6
    points["labels"] = budgets.fillna("")
    figure, (axes,) = panels(1, 2, (WIDTH, 3.9), sharey=True)
    for ax, column in zip(axes, ("inference_ms", "M"), strict=True):
        # One line joins the budgets of a wiring, in their order.
        lines = points.groupby(["wiring", "edges"], sort=False)
        for place, ((wiring, edges), line) in enumerate(lines):
            known = line.sort_values("budget", na_position="first")
            known = known.dropna(subset=column)
            ax.errorbar(
                known[column],
                known["accuracy"],
                known["accuracy_std"].fillna(0.0),
                marker=MARKERS[place % len(MARKERS)],
                markersize=5,
                linewidth=1.2,
                elinewidth=0.8,
                label=plain(f"{wiring} {edges}"),
            )
            at = {"xytext": (5, -10), "textcoords": "offset points", "fontsize": 7}
            for x, y, words in known[[column, "accuracy", "labels"]].to_numpy():
                ax.annotate(words, (x, y), **at)
        # From 0, so that a half looks like one.
        most = points[column].max()
        ax.set_xlim(0, 1.2 * most if most > 0 else 1.0)
        ax.margins(y=0.2)
        points["labels"] = share.map("{:.1%}".format)
    axes[0].set(xlabel="inference, ms an image", title="Measured time")
    axes[0].set_ylabel("test accuracy, %")
    axes[1].set_xlabel("expected MACs of an image, M")
    axes[1].set_title("Expected MACs and their share")
    legend_below(figure, axes)
    return figure


@styled
def graph_figure(rows: Rows) -> Figure:
    """Returns scores over clustering coefficient and average path length.

    A score is the accuracy on the test images, or a language model's held-out loss.
    A faint point is a run, a full one the mean over the seeds of an entry. Colours are
    generators, markers edges: each setting of them, or their kinds where those are more
    than there are markers. Properties are those of the nodes that compute,
    directions left aside, means over the stages; a run without a path length is left
    out of that panel.

    Args:
        rows: A row for each run, from ``ddw_graph.experiments.table.table``.

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
    figure, (axes,) = panels(1, 2, (WIDTH, 4.2), sharey=True)
    for ax, (column, label) in zip(axes, PROPERTIES.items(), strict=True):
        points = table.assign(x=table[column].astype(float)).dropna(subset="x")
        for _, group in points.groupby("entry", sort=False):
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
    axes[0].set_ylabel(metric.title)
    legend_below(figure, axes, ncols=4)
    return figure
