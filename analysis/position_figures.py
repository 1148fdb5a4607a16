"""Pictures of weights by position: over positions, over tokens, and on an image."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ddw_graph.analysis.figures import named, panel_grid
from ddw_graph.analysis.pictures import (
    add_colour_bar,
    draw_matrices,
    legend_below,
    panels,
    plain,
    scale_around_zero,
    scale_between,
    styled,
)
from ddw_graph.analysis.statistics.edges import (
    group_keys,
    weight_table,
    weighted_edges,
)
from ddw_graph.analysis.statistics.positions import position_table, token_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

Ends = tuple[int, int, int]
"""An edge: stage (from 1), source and target."""

MAPS = 4
"""Edges of a stage of which maps are drawn by default."""


def edge_named(text: str) -> Ends:
    """Returns stage, source and target of an edge by its name.

    Raises:
        DataError: If the text is not a name of an edge.

    Example:
        >>> edge_named("1:0-5")
        (1, 0, 5)
    """
    found = re.fullmatch(r"(\d{1,9}):(\d{1,9})-(\d{1,9})", text, re.ASCII)
    if not found:
        raise DataError(
            f"an edge is named as stage:source-target, such as 1:0-5, got {text!r}"
        )
    stage, source, target = map(int, found.groups())
    return stage, source, target


@styled
def position_figure(
    collections: Collection | Mapping[str, Collection], edges: Sequence[Ends] = ()
) -> Figure:
    """Returns mean weights over positions: a line for each distance, or some edges.

    The mean is over samples, and over the edges of one distance, the target's number
    minus the source's. Weights that do not differ by position are level lines. One
    scale for all panels.

    Args:
        collections: Collections with weights by position along one axis; several by the
            names that the figure shows.
        edges: The edges to draw; by default each distance has a line.

    Raises:
        DataError: If a collection has no weights by position, or along two axes, or an
            edge is not there or constant.
    """
    found = named(collections)
    lines = {name: _lines(each, edges) for name, each in found.items()}
    figure, grid = panel_grid(found, (3.4, 3.0), sharex=True, sharey=True)
    colours = matplotlib.colormaps["viridis"]
    longest = max(key[-1] for each in lines.values() for key in each)
    scale = Normalize(1, 1.15 * longest)  # the palest is too pale
    for (name, place), ax in grid.items():
        for nth, key in enumerate(edges or lines[name]):
            if key[0] != place + 1:
                continue
            line = lines[name][key]
            look: dict[str, Any] = {"color": colours(scale(key[-1])), "linewidth": 1.2}
            if edges:
                look |= {"color": f"C{nth}", "label": _text(key)}
            if len(line) > 1:
                ax.plot(line, **look)
            else:
                ax.axhline(line[0], **look)
        ax.set_xlabel("position")
    figure.axes[0].set_ylabel("mean weight")
    if edges:
        legend_below(figure, grid.values(), ncols=4)
    else:
        add_colour_bar(figure, scale, "viridis", "target minus source, nodes")
    figure.suptitle("Mean weight at each position")
    return figure


def _lines(
    collection: Collection, edges: Sequence[Ends]
) -> dict[tuple[int, ...], Float[np.ndarray, " positions"]]:
    """Returns mean weights over positions by stage and distance, or by edge.

    One number where they do not differ by position.
    """
    for edge in edges:
        _place(collection, edge)
    stages = range(len(collection.stages))
    axes = max(collection.positions(place).ndim - 2 for place in stages)
    if axes > 1:
        raise DataError(
            f"lines need positions along one axis, got {axes}; position_maps draws "
            "those of images"
        )
    by = "edge" if edges else "distance"
    tables = [weight_table(collection, by=by)]
    if axes:
        tables.append(position_table(collection, by=by))
    lines: dict[Any, np.ndarray] = {}
    for table in tables:
        for key, rows in table.groupby(group_keys(by)):
            lines[key] = rows["mean"].to_numpy()
    return lines


@styled
def token_figure(
    collections: Collection | Mapping[str, Collection], *, count: int = 20
) -> Figure:
    """Returns mean weights by token: rows are tokens, columns distances of edges.

    The mean is over the positions of the kept samples at which the token stands, and
    over the edges of one distance. One scale for all panels.

    Args:
        collections: Collections of tokens with weights by position; several by the
            names that the figure shows.
        count: How many tokens, the most frequent ones.

    Raises:
        DataError: If a collection has no weights by position, or its samples are no
            tokens.
    """
    found = named(collections)
    tables = {
        name: token_table(each, by="distance", count=count)
        for name, each in found.items()
    }
    most = max(table["token"].nunique() for table in tables.values())
    figure, grid = panel_grid(found, (2.9, 0.17 * most + 1.1))
    matrices: dict[Axes, np.ndarray] = {}
    boxes: dict[Axes, tuple[float, float, float, float]] = {}
    for (name, place), ax in grid.items():
        rows = tables[name][tables[name]["stage"] == place + 1]
        if rows.empty:  # every edge is constant
            ax.axis("off")
            continue
        tokens = rows.drop_duplicates("token")
        matrix = rows.pivot(index="token", columns="distance", values="mean")
        matrices[ax] = matrix.loc[tokens["token"]].to_numpy()
        words = [_word(w) for w in tokens["text" if "text" in tokens else "token"]]
        ax.set_yticks(range(len(words)), words, fontsize=7, family="monospace")
        low, high = matrix.columns.to_numpy()[[0, -1]]
        boxes[ax] = low - 0.5, high + 0.5, len(matrix) - 0.5, -0.5
        ax.set_xlabel("target minus source")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    finite = np.concatenate([matrix.ravel() for matrix in matrices.values()])
    scale = scale_between(finite.min(), finite.max())
    draw_matrices(figure, matrices, scale, "viridis_r", "mean weight", aspect="auto")
    for ax, box in boxes.items():
        ax.images[0].set_extent(box)
    figure.suptitle("Mean weight at each token")
    return figure


@styled
def position_maps(
    collection: Collection, sample: int = 0, edges: Sequence[Ends] = ()
) -> Figure:
    """Returns the weights of edges over the positions of an image, beside the image.

    A row a stage. Each map is an edge's weight minus its mean over positions, which its
    title has: orange is heavier, purple lighter; one scale for all.

    Args:
        collection: A collection of images with weights by position.
        sample: Which of the kept samples, from 0.
        edges: The edges to draw; by default the ``MAPS`` of each stage that vary most
            over this image.

    Raises:
        DataError: If the collection has no weights by position of images, the sample is
            not kept, or an edge is not there or its stage has no positions.
    """
    kept = collection.by_position
    if not 0 <= sample < kept.samples:
        raise DataError(
            f"sample must be one of those with positions, in [0, {kept.samples - 1}], "
            f"got {sample}"
        )
    if not has_maps(collection) or kept.inputs.ndim != 4:
        raise DataError(
            "maps need images with weights that differ by position along height and "
            "width, got none"
        )
    of_sample = {
        place: np.asarray(collection.positions(place)[sample], np.float64)
        for place in range(len(collection.stages))
        if collection.positions(place).ndim == 4
    }
    chosen: dict[int, list[int]] = {place: [] for place in of_sample}
    for edge in edges:
        place, e = _place(collection, edge)
        if place not in of_sample:
            raise DataError(f"{_text(edge)} has no weights by position")
        chosen[place].append(e)
    for place, weights in of_sample.items() if not edges else ():
        weighted = weighted_edges(collection, place)
        order = np.argsort(-np.ptp(weights[weighted], (1, 2)), kind="stable")
        chosen[place] = sorted(weighted[order[:MAPS]].tolist())
    rows = [(place, found) for place, found in chosen.items() if found]
    columns = 1 + max(len(found) for _, found in rows)
    size = (1.5 * columns + 1.4, 1.65 * len(rows) + 0.7)
    figure, grid = panels(len(rows), columns, size, layout="compressed")
    for ax in grid.flat:
        ax.axis("off")
    maps = {}
    for (image, *axes), (place, found) in zip(grid, rows, strict=True):
        image.imshow(_picture(kept.inputs[sample]), cmap="gray")
        image.set_title(f"stage {place + 1}")
        for ax, e in zip(axes, found, strict=False):
            weights = of_sample[place][e]
            maps[ax] = weights - weights.mean()
            name = _text((place + 1, *collection.stages[place].edges[e].tolist()))
            ax.set_title(f"{name}\nmean {weights.mean():.3g}", fontsize=8)
    words = "weight minus its mean\nover positions"
    draw_matrices(figure, maps, scale_around_zero(maps.values()), "PuOr_r", words)
    figure.suptitle(f"Weights over the positions of sample {sample}")
    return figure


def has_maps(collection: Collection) -> bool:
    """Returns whether weights differ by position along height and width."""
    stages = range(len(collection.stages))
    return any(collection.positions(place).ndim == 4 for place in stages)


def _place(collection: Collection, edge: Ends) -> tuple[int, int]:
    """Returns the stage of an edge, from 0, and its place among the stage's edges.

    Raises:
        DataError: If it is not there, or constant.
    """
    stage, *ends = edge
    if 1 <= stage <= len(collection.stages):
        own = collection.stages[stage - 1]
        for e in np.flatnonzero((own.edges == ends).all(1) & ~own.constant):
            return stage - 1, int(e)
    raise DataError(f"an edge must be there and carry weights, got {_text(edge)}")


def _text(edge: tuple[int, ...]) -> str:
    return "{}:{}-{}".format(*edge)


def _word(token: Any) -> str:
    """Returns a token as a label shows it: in quotes, so that spaces are seen."""
    return plain(ascii(token) if isinstance(token, str) else str(token))


def _picture(image: np.ndarray) -> np.ndarray:
    """Returns an image from 0 to 1, its channels last; grey where it is no colours."""
    image = image.astype(np.float64)
    shown = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(0)
    scaled: np.ndarray = (shown - shown.min()) / (np.ptp(shown) or 1)
    return scaled
