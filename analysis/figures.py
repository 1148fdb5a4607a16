"""Pictures of edge weights and of comparisons; each function returns a figure."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import STYLE, plain
from ddw_graph.analysis.statistics.edges import edge_matrix, weight_histogram
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

BINS = 50


def weight_histograms(
    collections: Mapping[str, Collection], *, title: str = "Edge weights"
) -> Figure:
    """Returns histograms of edge weights: a panel a stage, a line a collection.

    Weights of all weighted edges and all samples count; constant edges do not.

    Args:
        collections: Collections by the name that the legend shows.
        title: Title of the figure.

    Raises:
        DataError: If every edge of a collection is constant.
    """
    for name, collection in collections.items():
        check_weighted(collection, name)
    stages = max(len(collection.stages) for collection in collections.values())
    weights = [
        collection.weights(stage)
        for collection in collections.values()
        for stage in range(len(collection.stages))
    ]
    # Those of a rewired network may be negative, or more than 1.
    low = min(float(each.min(initial=0)) for each in weights)
    high = max(float(each.max(initial=1)) for each in weights)
    bins = np.linspace(low, high, BINS + 1)
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(2.9 * stages + 0.6, 3.4), layout="constrained")
        axes = figure.subplots(1, stages, sharey=True, squeeze=False)[0]
        for stage, ax in enumerate(axes):
            for name, collection in collections.items():
                if stage < len(collection.stages):
                    share = weight_histogram(collection, stage, bins)
                    ax.stairs(100 * share, bins, label=plain(name), linewidth=1.4)
            ax.set(
                title=f"stage {stage + 1}", xlabel="weight", xlim=(bins[0], bins[-1])
            )
            # Weights that hardly differ fill one bin: a log scale keeps the rest seen.
            ax.set_yscale("log")
        axes[0].set_ylabel("share of weights, %")
        figure.suptitle(title)
        if len(collections) > 1:
            handles, labels = axes[0].get_legend_handles_labels()
            figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def weight_heatmaps(collection: Collection, edges: pd.DataFrame, column: str) -> Figure:
    """Returns the adjacency of each stage, shaded by a column of the edges' table.

    With ``mean`` it is the paper's Fig. 4, with ``std`` its Fig. 5. Rows hear columns;
    darker is larger; one scale for all stages. Entries without an edge are white,
    constant edges hatched.

    Args:
        collection: What was collected.
        edges: Its table of ``edge_table``.
        column: ``mean`` or ``std``.

    Raises:
        DataError: If every edge is constant.

    Source:
        DDW, Figs. 4 and 5.
    """
    check_weighted(collection, str(collection.folder))
    count = len(collection.stages)
    matrices = [
        edge_matrix(edges, place + 1, column, stage.nodes)
        for place, stage in enumerate(collection.stages)
    ]
    finite = np.concatenate([m[np.isfinite(m)] for m in matrices])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if column == "std":
        low = 0.0
    words = {"mean": "Mean", "std": "Standard deviation"}.get(column, column)
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(3.1 * count + 1, 3.7), layout="compressed")
        axes = figure.subplots(1, count, squeeze=False)[0]
        scale = Normalize(low, high if high > low else low + 1e-9)
        for place, (ax, matrix) in enumerate(zip(axes, matrices, strict=True)):
            stage = collection.stages[place]
            image = ax.imshow(matrix, cmap="viridis_r", norm=scale)
            for source, target in stage.edges[stage.constant]:
                ax.add_patch(
                    matplotlib.patches.Rectangle(
                        (source - 0.5, target - 0.5),
                        1,
                        1,
                        hatch="////",
                        fill=False,
                        edgecolor="0.75",
                        linewidth=0,
                    )
                )
            ax.set(title=f"stage {place + 1}", xlabel="from node")
            ax.grid(False)
        axes[0].set_ylabel("to node")
        figure.colorbar(image, ax=axes.tolist(), shrink=0.8)
        figure.suptitle(f"{words} of each edge's weight over samples")
    return figure


def check_weighted(collection: Collection, name: str) -> None:
    """Checks that a collection has weights to draw.

    Raises:
        DataError: If every edge is constant.
    """
    if all(stage.constant.all() for stage in collection.stages):
        raise DataError(
            f"a picture of weights needs edges that carry some, all of {name} are "
            "constant"
        )


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
