"""Pictures of edge weights: histograms, and matrices (Figs. 4 and 5)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ddw_graph.analysis.pictures import (
    draw_matrices,
    legend_below,
    panels,
    plain,
    scale_around_zero,
    scale_between,
    styled,
)
from ddw_graph.analysis.statistics.classes import class_moments, class_offsets
from ddw_graph.analysis.statistics.edges import (
    check_weighted,
    edge_blocks,
    edge_matrix,
    edge_table,
    weighted_edges,
)
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

BINS = 50

MAX_CLASSES = 10
"""Classes that a picture has room for; others are drawn by name."""

CONSTANT: Any = {"hatch": "////", "fill": False, "edgecolor": "0.75", "linewidth": 0}
"""How the cell of a constant edge looks."""


def named(collections: Collection | Mapping[str, Collection]) -> dict[str, Collection]:
    """Returns collections by their names; of one its folder."""
    if isinstance(collections, Collection):
        return {str(collections.folder or "the collection"): collections}
    return dict(collections)


def panel_grid(
    collections: Mapping[str, Collection], size: tuple[float, float], **options: Any
) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """Returns a figure with a panel for each collection and stage, and these by both.

    A column a stage and a row a collection; those of one stage stand beside each other.
    ``size`` is that of a panel, inches; options are those of ``panels``.
    """
    stages = max(len(collection.stages) for collection in collections.values())
    rows, columns = len(collections), stages
    if stages == 1:
        rows, columns = columns, rows
    whole = size[0] * columns + 1, size[1] * rows + 0.7
    figure, grid = panels(rows, columns, whole, **options)
    found = {}
    for (name, collection), row in zip(
        collections.items(), grid.reshape(-1, stages), strict=True
    ):
        for ax in row[len(collection.stages) :]:
            ax.axis("off")
        for stage, ax in enumerate(row[: len(collection.stages)]):
            found[name, stage] = ax
            title = f"stage {stage + 1}"
            if len(collections) > 1 and not stage:
                title = plain(name) if stages == 1 else f"{plain(name)}, {title}"
            ax.set_title(title)
    return figure, found


@styled
def weight_histograms(collections: Collection | Mapping[str, Collection]) -> Figure:
    """Returns histograms of edge weights: a panel a stage, a line a collection.

    Weights of all weighted edges and all samples count; constant edges do not.

    Args:
        collections: Weights of samples; several by the names that the legend shows.

    Raises:
        DataError: If every edge of a collection is constant.
    """
    found = named(collections)
    for name, collection in found.items():
        check_weighted(collection, name)
    arrays = [array for collection in found.values() for array in collection.arrays]
    # Those of a rewired network may be negative, or more than 1.
    low = min(float(array.min(initial=0)) for array in arrays)
    high = max(float(array.max(initial=1)) for array in arrays)
    bins = np.linspace(low, high, BINS + 1)
    stages = max(len(collection.stages) for collection in found.values())
    figure, grid = panels(1, stages, (2.9 * stages + 0.6, 3.4), sharey=True)
    for stage, ax in enumerate(grid[0]):
        for name, collection in found.items():
            if stage >= len(collection.stages):
                continue
            edges = weighted_edges(collection, stage)
            counts = np.zeros(BINS)
            for _, weights in edge_blocks(collection, stage, edges):
                counts += np.histogram(weights, bins)[0]
            if counts.any():  # it has edges that carry weights
                share = 100 * counts / (len(edges) * collection.samples)
                ax.stairs(share, bins, label=plain(name), linewidth=1.4)
        ax.set(title=f"stage {stage + 1}", xlabel="weight", xlim=(low, high))
        # Weights that hardly differ fill one bin: a log scale shows the others.
        ax.set_yscale("log")
    grid[0, 0].set_ylabel("share of weights, %")
    figure.suptitle("Edge weights")
    if len(found) > 1:
        legend_below(figure, grid[0])
    return figure


@styled
def weight_heatmaps(
    collections: Collection | Mapping[str, Collection], column: str = "mean"
) -> Figure:
    """Returns the adjacency of each stage, shaded by a column of ``edge_table``.

    With ``mean`` it is the paper's Fig. 4, with ``std`` its Fig. 5. Rows are targets,
    columns sources; darker is larger; one scale for all panels. Entries without an edge
    are white, constant edges hatched.

    Args:
        collections: Weights of samples; several, such as those of learned and of
            dynamic edges, by the names that the figure shows.
        column: ``mean`` or ``std``.

    Raises:
        DataError: If every edge is constant, or there is no such column.

    Source:
        DDW, Figs. 4 and 5.
    """
    words = {"mean": "Mean", "std": "Standard deviation"}
    if column not in words:
        raise DataError(f"column must be {', '.join(words)}, got {column!r}")
    found = named(collections)
    figure, grid = panel_grid(found, (3.1, 3.0), layout="compressed")
    matrices = {}
    for name, collection in found.items():
        check_weighted(collection, name)
        edges = edge_table(collection)
        weighted = edges[~edges["constant"]]
        for place, stage in enumerate(collection.stages):
            values = weighted.loc[weighted["stage"] == place + 1, column].to_numpy()
            ax = grid[name, place]
            matrices[ax] = edge_matrix(stage, values)
            for source, target in stage.edges[stage.constant]:
                ax.add_patch(Rectangle((source - 0.5, target - 0.5), 1, 1, **CONSTANT))
            ax.set(xlabel="from node", ylabel="" if place else "to node")
            for axis in (ax.xaxis, ax.yaxis):
                axis.set_major_locator(MaxNLocator(integer=True))
    finite = np.concatenate([m[np.isfinite(m)] for m in matrices.values()])
    scale = scale_between(0.0 if column == "std" else finite.min(), finite.max())
    draw_matrices(figure, matrices, scale, "viridis_r")
    figure.suptitle(f"{words[column]} of each edge's weight over samples")
    return figure


@styled
def class_heatmaps(collection: Collection, classes: Sequence[str] = ()) -> Figure:
    """Returns how the mean wiring of each class differs from that of all samples.

    A column a class, a row a stage; in a matrix rows are targets and columns sources.
    Orange edges are heavier in the class than elsewhere, purple ones lighter; one scale
    for all.

    Args:
        collection: Weights of samples with labels.
        classes: Names of those to show; by default the first that have samples.

    Raises:
        DataError: If every edge is constant, or a class is unknown or has no sample.
    """
    check_weighted(collection)
    stages = range(len(collection.stages))
    moments = [class_moments(collection, place) for place in stages]
    known = [collection.classes[k] for k in np.flatnonzero(moments[0].samples)]
    for name in classes:
        if name not in known:
            raise DataError(
                f"a class must be one of {', '.join(known)}, which have samples, got "
                f"{name!r}"
            )
    shown = [collection.classes.index(n) for n in (classes or known[:MAX_CLASSES])]
    off = [class_offsets(each)[shown] for each in moments]
    size = (1.15 * len(shown) + 1.4, 1.15 * len(stages) + 0.9)
    figure, grid = panels(len(stages), len(shown), size, layout="compressed")
    matrices = {
        ax: edge_matrix(collection.stages[place], values)
        for place, row in zip(stages, grid, strict=True)
        for ax, values in zip(row, off[place], strict=True)
    }
    for ax in matrices:
        ax.set(xticks=[], yticks=[])
    for place, ax in zip(stages, grid[:, 0], strict=True):
        ax.set_ylabel(f"stage {place + 1}")
    for ax, label in zip(grid[0], shown, strict=True):
        ax.set_title(plain(collection.classes[label]))
    words = "weight minus the\nmean of all samples"
    draw_matrices(figure, matrices, scale_around_zero(off), "PuOr_r", words)
    which = "each class"
    if not classes and len(known) > MAX_CLASSES:
        which = f"the first {MAX_CLASSES} of {len(known)} classes"
    figure.suptitle(f"Mean wiring of {which}")
    return figure
