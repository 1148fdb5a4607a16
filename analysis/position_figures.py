"""Pictures of weights by position: over positions, over tokens, and on an image."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ddw_graph.analysis.figures import named, panel_grid, scale_between
from ddw_graph.analysis.pictures import legend_below, plain, styled
from ddw_graph.analysis.statistics.edges import (
    edge_table,
    node_table,
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
        DataError: If it is no such name.

    Example:
        >>> edge_named("1:0-5")
        (1, 0, 5)
    """
    if not re.fullmatch(r"\d{1,9}:\d{1,9}-\d{1,9}", text, re.ASCII):
        raise DataError(
            f"an edge is named as stage:source-target, such as 1:0-5, got {text!r}"
        )
    stage, source, target = map(int, re.split("[:-]", text))
    return stage, source, target


@styled
def position_figure(
    collections: Collection | Mapping[str, Collection], edges: Sequence[Ends] = ()
) -> Figure:
    """Returns mean weights over positions: a line for each distance, or some edges.

    The mean is over the kept samples, and over the edges of one distance, the target's
    number less the source's. Weights that do not differ by position are level lines.
    One scale for all panels.

    Args:
        collections: Collections with weights by position along one axis; several by the
            names that the figure shows.
        edges: The edges to draw; by default each distance has a line.

    Raises:
        DataError: If a collection has no weights by position, or along two axes, or an
            edge is not there or constant.
    """
    found = named(collections)
    for collection in found.values():
        for edge in edges:
            _place(collection, edge)
    figure, panels = panel_grid(found, (3.4, 3.0), share=True)
    colours = matplotlib.colormaps["viridis"]
    scale = Normalize(1, 1.15 * _longest(found))  # the palest is too pale
    for (name, place), ax in panels.items():
        collection = found[name]
        for label, line in _lines(collection, place, edges).items():
            look: dict[str, Any] = {"linewidth": 1.2}
            if not edges:
                look["color"] = colours(scale(label))
            else:
                look["label"] = label
                look["color"] = f"C{[_text(edge) for edge in edges].index(label)}"
            if len(line) > 1:
                ax.plot(line, **look)
            else:
                ax.axhline(line[0], **look)
        ax.set_xlabel("position")
    next(iter(panels.values())).set_ylabel("mean weight")
    if edges:
        legend_below(figure, panels.values(), ncols=4)
    else:
        figure.colorbar(
            ScalarMappable(scale, colours),
            ax=list(panels.values()),
            label="target less source, nodes",
        )
    figure.suptitle("Mean weight at each position")
    return figure


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
    matrices: dict[tuple[str, int], pd.DataFrame] = {}
    words: dict[str, list[str]] = {}
    for name, collection in found.items():
        table = token_table(collection, count=count)
        stage = table["stage"].iloc[0]
        tokens = table[table["stage"] == stage].drop_duplicates("token")
        names = tokens["text"] if "text" in tokens else tokens["token"]
        words[name] = [_word(word) for word in names]
        for place in range(len(collection.stages)):
            rows = table[table["stage"] == place + 1]
            matrix = rows.pivot(index="token", columns="distance", values="mean")
            if not matrix.empty:
                matrices[name, place] = matrix.loc[tokens["token"]]
    finite = np.concatenate([matrix.to_numpy().ravel() for matrix in matrices.values()])
    scale = scale_between(finite.min(), finite.max())
    height = 0.17 * max(map(len, words.values())) + 1.1
    figure, panels = panel_grid(found, (2.9, height))
    for key, ax in panels.items():
        if key not in matrices:  # every edge is constant
            ax.axis("off")
            continue
        matrix = matrices[key]
        distances = matrix.columns.to_numpy()
        box = distances[0] - 0.5, distances[-1] + 0.5, len(matrix) - 0.5, -0.5
        image = ax.imshow(
            matrix, cmap="viridis_r", norm=scale, extent=box, aspect="auto"
        )
        ax.set_yticks(range(len(matrix)), words[key[0]], fontsize=7, family="monospace")
        ax.set_xlabel("target less source")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.grid(False)
    figure.colorbar(image, ax=list(panels.values()), label="mean weight")
    figure.suptitle("Mean weight at each token")
    return figure


@styled
def position_maps(
    collection: Collection, sample: int = 0, edges: Sequence[Ends] = ()
) -> Figure:
    """Returns the weights of edges over the positions of an image, beside the image.

    A row a stage. Each map is an edge's weight less its mean over positions, which its
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
    chosen: dict[int, list[int]] = {}
    for place in range(len(collection.stages)):
        if collection.positions(place).ndim == 4:
            weights = collection.positions(place)[sample]
            varies = np.ptp(weights.reshape(len(weights), -1), 1)
            weighted = weighted_edges(collection, place)
            most = weighted[np.argsort(-varies[weighted], kind="stable")]
            chosen[place] = sorted(most[:MAPS].tolist())
    if not chosen or kept.inputs.ndim != 4:
        raise DataError(
            "maps need images with weights that differ by position along height and "
            "width, got none"
        )
    if edges:
        places = [(edge, *_place(collection, edge)) for edge in edges]
        for edge, place, _ in places:
            if place not in chosen:
                raise DataError(f"{_text(edge)} has no weights by position")
        chosen = {
            place: [e for _, at, e in places if at == place]
            for place in sorted({place for _, place, _ in places})
        }
    maps = {
        (place, e): np.asarray(collection.positions(place)[sample, e], np.float64)
        for place, each in chosen.items()
        for e in each
    }
    reach = max(float(np.abs(m - m.mean()).max()) for m in maps.values()) or 1e-9
    scale = Normalize(-reach, reach)
    columns = 1 + max(map(len, chosen.values()))
    size = (1.5 * columns + 1.4, 1.65 * len(chosen) + 0.7)
    figure = Figure(figsize=size, layout="compressed")
    grid = figure.subplots(len(chosen), columns, squeeze=False)
    for ax in grid.ravel():
        ax.axis("off")
    for row, (place, each) in zip(grid, chosen.items(), strict=True):
        picture = _picture(kept.inputs[sample])
        row[0].imshow(picture, cmap="gray")
        row[0].set_title(f"stage {place + 1}")
        for ax, e in zip(row[1:], each, strict=False):
            weights = maps[place, e]
            ax.imshow(weights - weights.mean(), cmap="PuOr_r", norm=scale)
            source, target = collection.stages[place].edges[e].tolist()
            name = _text((place + 1, source, target))
            ax.set_title(f"{name}\nmean {weights.mean():.3g}", fontsize=8)
    figure.colorbar(
        ScalarMappable(scale, "PuOr_r"),
        ax=grid.ravel().tolist(),
        shrink=0.8,
        label="weight less its mean\nover positions",
    )
    figure.suptitle(f"Weights over the positions of sample {sample}")
    return figure


def _longest(collections: Mapping[str, Collection]) -> int:
    """Returns the largest distance of an edge."""
    return max(
        int((stage.edges[:, 1] - stage.edges[:, 0]).max())
        for collection in collections.values()
        for stage in collection.stages
    )


def _lines(
    collection: Collection, place: int, edges: Sequence[Ends]
) -> dict[Any, Float[np.ndarray, " positions"]]:
    """Returns mean weights over a stage's positions, one where they do not differ.

    By distance, or by the names of the edges that are of this stage.
    """
    axes = collection.positions(place).ndim - 2
    if axes > 1:
        raise DataError(
            f"lines need positions along one axis, got {axes}; position_maps draws "
            "those of images"
        )
    by = "edge" if edges else "distance"
    if axes:
        table = position_table(collection, by=by)
    else:
        table = node_table(collection, by=by) if not edges else edge_table(collection)
    table = table[table["stage"] == place + 1]
    if not edges:
        return {key: rows["mean"].to_numpy() for key, rows in table.groupby(by)}
    lines = {}
    for edge in edges:
        stage, source, target = edge
        if stage == place + 1:
            rows = table[(table["source"] == source) & (table["target"] == target)]
            lines[_text(edge)] = rows["mean"].to_numpy()
    return lines


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


def _text(edge: Ends) -> str:
    stage, source, target = edge
    return f"{stage}:{source}-{target}"


def _word(token: Any) -> str:
    """Returns a token as a label shows it: in quotes, so that spaces are seen."""
    return plain(ascii(token) if isinstance(token, str) else str(token))


def _picture(image: np.ndarray) -> np.ndarray:
    """Returns an image from 0 to 1, its channels last; grey where it is no colours."""
    image = image.astype(np.float64)
    shown = image.transpose(1, 2, 0) if len(image) == 3 else image.mean(0)
    low, high = shown.min(), shown.max()
    scaled: np.ndarray = (shown - low) / (high - low or 1)
    return scaled


def has_maps(collection: Collection) -> bool:
    """Returns whether weights differ by position along height and width."""
    stages = range(len(collection.stages))
    return any(collection.positions(place).ndim == 4 for place in stages)
