"""Pictures of edge weights: histograms, and matrices (Figs. 4 and 5)."""

from collections.abc import Mapping, Sequence
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

MAX_CLASSES = 20
"""Classes that a picture has room for."""

IN_A_ROW = 10
"""Classes in a row of the picture; further ones stand below them."""

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
def weight_histograms(
    collections: Collection | Mapping[str, Collection], *, title: str = "Edge weights"
) -> Figure:
    """Returns histograms of edge weights: a panel a stage, a line a collection.

    Weights of all weighted edges and all samples count; constant edges do not.

    Args:
        collections: Weights of samples; several by the names that the legend shows.
        title: Title of the figure.

    Raises:
        DataError: If every edge of a collection is constant.
    """
    collections = named(collections)
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
    figure = Figure(figsize=(2.9 * stages + 0.6, 3.4), layout="constrained")
    axes = figure.subplots(1, stages, sharey=True, squeeze=False)[0]
    for stage, ax in enumerate(axes):
        for name, collection in collections.items():
            if stage < len(collection.stages):
                share = weight_histogram(collection, stage, bins)
                ax.stairs(100 * share, bins, label=plain(name), linewidth=1.4)
        ax.set(title=f"stage {stage + 1}", xlabel="weight", xlim=(bins[0], bins[-1]))
        # Weights that hardly differ fill one bin: a log scale shows the others.
        ax.set_yscale("log")
    axes[0].set_ylabel("share of weights, %")
    figure.suptitle(title)
    if len(collections) > 1:
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
        column: ``mean``, ``std``, ``min``, ``max`` or ``open``.

    Raises:
        DataError: If every edge is constant, or there is no such column.

    Source:
        DDW, Figs. 4 and 5.
    """
    words = {
        "mean": "Mean",
        "std": "Standard deviation",
        "min": "Minimum",
        "max": "Maximum",
        "open": "Share of open samples",
    }
    if column not in words:
        raise DataError(f"column must be {', '.join(words)}, got {column!r}")
    found = named(collections)
    matrices = {}
    for name, collection in found.items():
        check_weighted(collection, name)
        edges = edge_table(collection)
        weighted = edges[~edges["constant"]]
        for place, stage in enumerate(collection.stages):
            values = weighted.loc[weighted["stage"] == place + 1, column].to_numpy()
            matrices[name, place] = edge_matrix(stage, values)
    finite = np.concatenate([m[np.isfinite(m)] for m in matrices.values()])
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    if column == "std":
        low = 0.0
    figure, panels = panel_grid(found, (3.1, 3.0), layout="compressed")
    scale = scale_between(low, high)
    for (name, place), ax in panels.items():
        stage = found[name].stages[place]
        image = ax.imshow(matrices[name, place], cmap="viridis_r", norm=scale)
        for source, target in stage.edges[stage.constant]:
            ax.add_patch(Rectangle((source - 0.5, target - 0.5), 1, 1, **CONSTANT))
        ax.set(xlabel="from node", ylabel="" if place else "to node")
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(False)
    figure.colorbar(image, ax=list(panels.values()), shrink=0.8)
    figure.suptitle(f"{words[column]} of each edge's weight over samples")
    return figure


@styled
def class_heatmaps(collection: Collection, classes: Sequence[str] = ()) -> Figure:
    """Returns how the mean wiring of each class deviates from that of all samples.

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
    count = moments[0].samples
    known = [
        name for name, samples in zip(collection.classes, count, strict=True) if samples
    ]
    for name in classes:
        if name not in known:
            raise DataError(
                f"a class must be one of {', '.join(known)}, which have samples, got "
                f"{name!r}"
            )
    shown = [collection.classes.index(n) for n in (classes or known[:MAX_CLASSES])]
    off = [class_offsets(each)[shown] for each in moments]
    reach = max((float(np.abs(each).max(initial=0)) for each in off), default=0) or 1e-9
    scale = Normalize(-reach, reach)
    columns = min(len(shown), IN_A_ROW)
    rows = len(stages) * -(-len(shown) // columns)
    size = (1.15 * columns + 1.4, 1.15 * rows + 0.9)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(rows, columns, squeeze=False)
    for ax in grid.ravel():
        ax.axis("off")
    for nth, label in enumerate(shown):
        above, column = divmod(nth, columns)
        for place in stages:
            ax = grid[above * len(stages) + place, column]
            ax.axis("on")
            matrix = edge_matrix(collection.stages[place], off[place][nth])
            ax.imshow(matrix, cmap="PuOr_r", norm=scale)
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            if not place:
                ax.set_title(plain(collection.classes[label]))
            if not column:
                ax.set_ylabel(f"stage {place + 1}")
    figure.colorbar(
        ScalarMappable(scale, "PuOr_r"),
        ax=grid.ravel().tolist(),
        shrink=0.8,
        label="weight less the\nmean of all samples",
    )
    which = "each class"
    if not classes and len(known) > MAX_CLASSES:
        which = f"the first {MAX_CLASSES} of {len(known)} classes"
    figure.suptitle(f"Mean wiring of {which}")
    return figure
