"""Pictures of wirings: every edge and its direction can be read."""

from collections.abc import Mapping
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path
from scipy.interpolate import PchipInterpolator

from ddw_graph.analysis.layered_layout import Routes, layered_layout
from ddw_graph.errors import WiringError
from ddw_graph.wiring import check, computing_nodes
from ddw_graph.wiring.description import longest_path_layers

# Okabe and Ito's colours, which colour-blind readers can distinguish; yellow, too pale
# for a line on white, is left out. Neighbours in number never share one.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#4D4D4D", "#56B4E9", "#E69F00")
CLOSED = "#BBBBBB"

MAX_ARCS = 80
"""Most nodes that stand in one line."""

MAX_NUMBERS = 64
"""Most nodes of a matrix that have their numbers written."""

RADIUS, DOT = 0.3, 0.1
"""Radius of a node, where two in a line are 1 apart; and of an identity node, which has
no number."""

CENTRED: Any = {"ha": "center", "va": "center_baseline", "zorder": 5}
"""How text stands at its place."""

Edge = tuple[int, int]
Ink = Mapping[Edge, tuple[str, float]]


def draw_wiring(
    dag: nx.DiGraph,
    *,
    style: str = "auto",
    weights: Mapping[Edge, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Returns a picture of a wiring.

    An edge has the colour of its source. Lines and letters scale with the axes. In SVG,
    an edge of arcs and layers has the id ``edge-i-j``, and a node ``node-i``. Identity
    nodes are small dots.

    - ``arcs``: nodes stand in topological order on a line, edges are arcs above it;
    - ``layered``: a node stands as far to the right as its longest path from the input
      is long, and edges pass between the nodes;
    - ``matrix``: row j, column i is the edge ``i -> j``; nodes stand on the diagonal;
    - ``auto``: the one of these that suits, see :func:`automatic_style`.

    Args:
        dag: The wiring.
        style: One of these.
        weights: A weight for each edge; the larger, the bolder. An edge of weight 0
            is closed: grey, and dashed where it is a line.
        ax: Axes to draw into; by default a figure is made that has room for all.

    Raises:
        WiringError: If ``dag`` is no wiring, the style is unknown or cannot show so
            many nodes, or the weights are not those of its edges.

    Example:
        >>> figure = draw_wiring(nx.DiGraph([(0, 1), (0, 2), (1, 2)]))
        >>> [text.get_text() for text in figure.axes[0].texts]
        ['0', '1', '2', 'input', 'output']
    """
    check(dag)
    ink = _ink(dag, weights)
    match automatic_style(dag) if style == "auto" else style:
        case "arcs":
            ax = _draw_routes(dag, _arcs(dag), ink, ax, 0.0, (0.0, -0.5))
        case "layered":
            ax = _draw_routes(dag, _layers(dag), ink, ax, 1.7, (0.45, 0.0))
        case "matrix":
            ax = _draw_matrix(len(dag), ink, ax)
        case _:
            raise WiringError(
                f"style must be auto, arcs, layered, matrix, got {style!r}"
            )
    figure = ax.get_figure(root=True)
    assert isinstance(figure, Figure)
    return figure


def automatic_style(dag: nx.DiGraph) -> str:
    """Returns the style in which a wiring is best read.

    Arcs where few nodes, or one node a layer, leave nothing to layers; layers
    for the others; a matrix for those with more edges than arcs or layers can hold
    apart.

    Example:
        >>> automatic_style(nx.DiGraph([(0, 1), (0, 2), (1, 2)]))
        'arcs'
    """
    layer = longest_path_layers(dag)
    edges, size = dag.number_of_edges(), len(dag)
    one_a_layer = layer[-1] == size - 1
    if size <= 8 or (one_a_layer and size <= MAX_ARCS and edges <= 3 * size):
        return "arcs"
    slots = size + sum(layer[j] - layer[i] for i, j in dag.edges)
    return "layered" if not one_a_layer and slots <= 25 * size <= 2000 else "matrix"


def _ink(dag: nx.DiGraph, weights: Mapping[Edge, float] | None) -> Ink:
    """Returns each edge's colour, and its boldness: 1, or from 0.3 to 1.6 by weight."""
    colours = {edge: COLOURS[edge[0] % len(COLOURS)] for edge in sorted(dag.edges)}
    if weights is None:
        return {edge: (colour, 1.0) for edge, colour in colours.items()}
    for edge in sorted(colours.keys() ^ weights.keys()):
        got = "an edge without weight" if edge in colours else "a weight without edge"
        raise WiringError(f"weights must be those of the edges, got {got}: {edge}")
    for edge, weight in weights.items():
        if not np.isfinite(weight):
            raise WiringError(f"weights must be finite, got {weight} for {edge}")
    most = max(map(abs, weights.values())) or 1.0
    return {
        edge: (colour, 0.3 + 1.3 * abs(weights[edge]) / most)
        if weights[edge]
        else (CLOSED, 0.5)
        for edge, colour in colours.items()
    }


def _arcs(dag: nx.DiGraph) -> Routes:
    """Returns an edge's points on a half circle."""
    if len(dag) > MAX_ARCS:
        raise WiringError(
            f"arcs show at most {MAX_ARCS} nodes, got {len(dag)}; draw it as a matrix"
        )
    routes = {}
    for i, j in dag.edges:
        angle = np.linspace(np.pi, 0, 12 * (j - i))
        arc = np.stack([1 + np.cos(angle), np.sin(angle)], 1) / 2
        routes[i, j] = (j - i) * arc + (i, 0)
    return routes


def _layers(dag: nx.DiGraph) -> Routes:
    """Returns an edge's points on a curve that never overshoots between two layers."""
    routes = {}
    for edge, points in layered_layout(dag).items():
        x, y = points.T
        along = np.linspace(x[0], x[-1], 12 * len(x))
        routes[edge] = np.stack([2.4 * along, PchipInterpolator(x, y)(along)], 1)
    return routes


def _draw_routes(
    dag: nx.DiGraph,
    routes: Routes,
    ink: Ink,
    ax: Axes | None,
    margin: float,
    beside: tuple[float, float],
) -> Axes:
    """Draws nodes, and edges along points from their source's centre to their target's.

    There is a margin for words on the left and on the right; the word "output" stands
    ``beside`` its node, "input" mirrored in x.
    """
    points = np.concatenate(list(routes.values()))
    room = np.array([margin + 0.5, 0.8])
    ax, unit = _axes(points.min(0) - room, points.max(0) + room, 0.52, ax)
    numbered = {0, *computing_nodes(dag), len(dag) - 1}
    radii = {node: RADIUS if node in numbered else DOT for node in dag}
    places = {}
    for (i, j), route in routes.items():
        places[i], places[j] = route[0].tolist(), route[-1].tolist()
        colour, bold = ink[i, j]
        distance = np.hypot(*(route - route[-1]).T)
        last = np.flatnonzero(distance > radii[j])[-1]
        rim = route[-1] + radii[j] / distance[last] * (route[last] - route[-1])
        ax.add_patch(
            FancyArrowPatch(
                path=Path([*route[: last + 1], rim]),
                arrowstyle="-|>",
                mutation_scale=0.3 * unit,
                color=colour,
                linewidth=0.04 * unit * bold,
                linestyle=(0, (2, 2)) if colour == CLOSED else "-",
                zorder=1 + bold / 2,
                gid=f"edge-{i}-{j}",
            )
        )
    for node, at in sorted(places.items()):
        colour = COLOURS[node % len(COLOURS)]
        look = {"facecolor": colour, "linewidth": 0, "zorder": 4}
        ax.add_patch(Circle(at, radii[node], gid=f"node-{node}", **look))
        if node in numbered:
            # Black reads better on the palest of the colours, white on the others.
            pale = np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) > 0.55
            look = {"fontsize": 0.28 * unit, "color": "black" if pale else "white"}
            ax.text(at[0], at[1], str(node), **(CENTRED | look))
    for node, word, sign, side in (
        (0, "input", -1, "right"),
        (len(dag) - 1, "output", 1, "left"),
    ):
        x, y = places[node][0] + sign * beside[0], places[node][1] + beside[1]
        align = {"ha": side if beside[0] else "center"}
        ax.text(x, y, word, fontsize=0.28 * unit, **(CENTRED | align))
    return ax


def _draw_matrix(size: int, ink: Ink, ax: Axes | None) -> Axes:
    """Draws a cell for each edge, the bolder, the less pale."""
    around = np.array([2.0 + 0.1 * size, 1.0])
    low, high = np.array([-0.5, 0.5 - size]), np.array([size - 0.5, 0.5])
    ax, unit = _axes(low - around, high + around, max(0.12, min(0.3, 8 / size)), ax)
    cells = np.zeros((size, size, 4), dtype=np.float32)
    strongest = max(bold for _, bold in ink.values())
    for (i, j), (colour, bold) in ink.items():
        cells[j, i] = *to_rgb(colour), bold / strongest
    extent = (low[0], high[0], low[1], high[1])
    ax.imshow(cells, extent=extent, interpolation="none")
    if size <= MAX_NUMBERS:
        bounds = np.arange(0.5, size)
        look: Any = {"color": "white", "linewidth": 0.12 * unit}
        ax.vlines(bounds, low[1], high[1], **look)
        ax.hlines(-bounds, low[0], high[0], **look)
        for node in range(size):
            ax.text(node, -node, str(node), fontsize=0.45 * unit, **CENTRED)
    letters = max(0.5, 0.025 * size) * unit
    ax.text(-1, 0, "input", fontsize=letters, **(CENTRED | {"ha": "right"}))
    ax.text(size, 1 - size, "output", fontsize=letters, **(CENTRED | {"ha": "left"}))
    return ax


def _axes(
    low: Float[np.ndarray, "2"],
    high: Float[np.ndarray, "2"],
    inches: float,
    ax: Axes | None,
) -> tuple[Axes, float]:
    """Returns axes without frame over a range, and the size of their unit in points.

    Without axes, those of a new figure, with a unit of some inches.
    """
    width, height = map(float, high - low)
    if ax is None:
        figure = Figure(figsize=(inches * width, inches * height))
        ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    page = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    ax.set_axis_off()
    ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
    return ax, 72 * min(page.width / width, page.height / height)
