"""Pictures of edge weights: histograms, and matrices (Figs. 4 and 5)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from ddw_graph.analysis.pictures import legend_below, plain, styled
from ddw_graph.analysis.statistics.classes import class_moments, class_offsets
from ddw_graph.analysis.statistics.edges import (
    check_weighted,
    edge_matrix,
    edge_table,
    weight_histogram,
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


def scale_between(low: float, high: float) -> Normalize:
    """Returns a scale of colours; it has a width even where all numbers are one."""
    return Normalize(low, high if high > low else low + 1e-9)


def scale_around_zero(arrays: Iterable[np.ndarray]) -> Normalize:
    """Returns a scale of colours from -x to x that holds all numbers."""
    reach = max(float(np.abs(array).max(initial=0)) for array in arrays) or 1e-9
    return Normalize(-reach, reach)


def colour_bar(
    figure: Figure, panels: Iterable[Axes], scale: Normalize, cmap: str, label: str = ""
) -> None:
    """Adds a bar of colours beside panels."""
    mappable = ScalarMappable(scale, cmap)
    figure.colorbar(mappable, ax=list(panels), shrink=0.8, label=label)


def panel_grid(
    collections: Mapping[str, Collection],
    size: tuple[float, float],
    *,
    layout: Literal["constrained", "compressed"] = "constrained",
    share: bool = False,
) -> tuple[Figure, dict[tuple[str, int], Axes]]:
    """Returns a figure with a panel for each collection and stage, and these by both.

    A column a stage and a row a collection; those of one stage stand beside each other.

    Args:
        collections: The collections by their names.
        size: Width and height of a panel, inches.
        layout: How matplotlib places the panels; ``compressed`` for matrices.
        share: Whether panels have the same axes.
    """
    stages = max(len(collection.stages) for collection in collections.values())
    shape = (1, len(collections)) if stages == 1 else (len(collections), stages)
    figsize = size[0] * shape[1] + 1, size[1] * shape[0] + 0.7
    figure = Figure(figsize=figsize, layout=layout)
    grid = figure.subplots(*shape, sharex=share, sharey=share, squeeze=False)
    panels = {}
    for row, (name, collection) in enumerate(collections.items()):
        for stage in range(stages):
            ax = grid.flat[row] if stages == 1 else grid[row, stage]
            if stage >= len(collection.stages):
                ax.axis("off")
                continue
            panels[name, stage] = ax
            title = f"stage {stage + 1}"
            if len(collections) > 1 and not stage:
                title = plain(name) if stages == 1 else f"{plain(name)}, {title}"
            ax.set_title(title)
    return figure, panels


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
    figure = Figure(figsize=(2.9 * stages + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, stages, sharey=True, squeeze=False)[0]
    for stage, ax in enumerate(axes):
        for name, collection in found.items():
            if stage >= len(collection.stages):
                continue
            share = weight_histogram(collection, stage, bins)
            if share.any():  # it has edges that carry weights
                ax.stairs(100 * share, bins, label=plain(name), linewidth=1.4)
        ax.set(title=f"stage {stage + 1}", xlabel="weight", xlim=(bins[0], bins[-1]))
        # Weights that hardly differ fill one bin: a log scale shows the others.
        ax.set_yscale("log")
    axes[0].set_ylabel("share of weights, %")
    figure.suptitle("Edge weights")
    if len(found) > 1:
        legend_below(figure, axes)
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
    found, matrices = named(collections), {}
    for name, collection in found.items():
        check_weighted(collection, name)
        edges = edge_table(collection)
        weighted = edges[~edges["constant"]]
        for place, stage in enumerate(collection.stages):
            values = weighted.loc[weighted["stage"] == place + 1, column].to_numpy()
            matrices[name, place] = edge_matrix(stage, values)
    finite = np.concatenate([m[np.isfinite(m)] for m in matrices.values()])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    scale = scale_between(0.0 if column == "std" else low, high)
    figure, panels = panel_grid(found, (3.1, 3.0), layout="compressed")
    for (name, place), ax in panels.items():
        stage = found[name].stages[place]
        ax.imshow(matrices[name, place], cmap="viridis_r", norm=scale)
        for source, target in stage.edges[stage.constant]:
            ax.add_patch(Rectangle((source - 0.5, target - 0.5), 1, 1, **CONSTANT))
        ax.set(xlabel="from node", ylabel="" if place else "to node")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(False)
    colour_bar(figure, panels.values(), scale, "viridis_r")
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
    scale = scale_around_zero(off)
    size = (1.15 * len(shown) + 1.4, 1.15 * len(stages) + 0.9)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(stages), len(shown), squeeze=False)
    for place, row in zip(stages, grid, strict=True):
        row[0].set_ylabel(f"stage {place + 1}")
        for ax, values in zip(row, off[place], strict=True):
            matrix = edge_matrix(collection.stages[place], values)
            ax.imshow(matrix, cmap="PuOr_r", norm=scale)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
    for ax, label in zip(grid[0], shown, strict=True):
        ax.set_title(plain(collection.classes[label]))
    colour_bar(
        figure, grid.flat, scale, "PuOr_r", "weight minus the\nmean of all samples"
    )
    which = "each class"
    if not classes and len(known) > MAX_CLASSES:
        which = f"the first {MAX_CLASSES} of {len(known)} classes"
    figure.suptitle(f"Mean wiring of {which}")
    return figure
