"""Pictures of wirings: every edge and its direction can be read."""

import math
from collections.abc import Callable, Mapping

import networkx as nx
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ddw_graph.analysis.layered_layout import layered_layout
from ddw_graph.analysis.wiring_sheet import (
    COLOURS,
    Edge,
    Point,
    Shape,
    Sheet,
    checked_weights,
)
from ddw_graph.errors import WiringError
from ddw_graph.wiring import check
from ddw_graph.wiring.description import longest_path_layers

MAX_ARCS = 80
"""Most nodes that stand in one line."""

MAX_MARKS = 64
"""Most nodes of a matrix with lines and marks; a larger one is an image."""

_RADIUS = 0.3

# The length of a Bezier curve's handle, over the radius, for a quarter of a circle.
_QUARTER = 0.5523


def draw_wiring(
    dag: nx.DiGraph,
    *,
    style: str = "auto",
    weights: Mapping[Edge, float] | None = None,
    ax: Axes | None = None,
) -> Figure:
    """Returns a picture of a wiring.

    An edge has the colour of its source and arrives with an arrowhead.

    - ``arcs``: nodes stand in topological order on a line, edges are arcs above it;
    - ``layered``: a node stands as far to the right as its longest path from the input
      is long, and edges pass between the nodes;
    - ``matrix``: nodes stand on the diagonal; an edge goes down from its source and, at
      its mark, right to its target: row j, column i is the edge ``i -> j``;
    - ``auto``: the one of these that suits, see :func:`automatic_style`.

    Args:
        dag: The wiring.
        style: How to draw it.
        weights: A weight for each edge; the stronger, the bolder. An edge of weight 0
            is closed: grey and dashed, or an open mark.
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
    styles = {"arcs": _arcs, "layered": _layered, "matrix": _matrix}
    if style != "auto" and style not in styles:
        raise WiringError(f"style must be auto, {', '.join(styles)}, got {style!r}")
    draw = styles[automatic_style(dag) if style == "auto" else style]
    sheet = draw(dag, _sheet_maker(checked_weights(weights, set(dag.edges)), ax))
    figure = sheet.ax.get_figure(root=True)
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


SheetMaker = Callable[[Point, Point, float], Sheet]


def _sheet_maker(weights: Mapping[Edge, float] | None, ax: Axes | None) -> SheetMaker:
    def sheet(low: Point, high: Point, inches: float) -> Sheet:
        return Sheet(low, high, inches=inches, ax=ax, weights=weights)

    return sheet


def _arcs(dag: nx.DiGraph, sheet_of: SheetMaker) -> Sheet:
    size = len(dag)
    if size > MAX_ARCS:
        raise WiringError(
            f"arcs show at most {MAX_ARCS} nodes, got {size}; draw it as a matrix"
        )
    reach = max(j - i for i, j in dag.edges)
    sheet = sheet_of((-0.9, -1.3), (size - 0.1, (reach + 1) / 2 + 0.2), 0.5)
    # Where an edge leaves and lands on its nodes, so that none runs upon another: the
    # farther its other end, the nearer to the middle of the node.
    ports: dict[tuple[int, Edge], float] = {}
    room: dict[int, float] = {}
    for node in range(size):
        incoming = [(i, node) for i in sorted(dag.pred[node], reverse=True)]
        fed = [(node, j) for j in sorted(dag.succ[node], reverse=True)]
        room[node] = min(0.2, 0.8 / len(incoming + fed))
        for place, edge in enumerate(incoming + fed):
            offset = place - (len(incoming) + len(fed) - 1) / 2
            ports[node, edge] = node + offset * room[node]
    for edge in sorted(dag.edges):
        start, end = ports[edge[0], edge], ports[edge[1], edge]
        head = min(0.16, 0.95 * room[edge[1]])
        radius = (end - start) / 2
        height, middle = max(radius, 0.35), start + radius
        curve = [
            (start, 0.0),
            (start, _QUARTER * height),
            (middle - _QUARTER * radius, height),
            (middle, height),
            (middle + _QUARTER * radius, height),
            (end, max(_QUARTER * height, 1.5 * head)),
            (end, 0.0),
        ]
        line = min(0.04, 0.5 * room[edge[0]], 0.5 * room[edge[1]])
        sheet.arrow(edge, curve, (0.0, -1.0), line=line, head=head)
    for node in range(size):
        shape: Shape = "square" if node in (0, size - 1) else "rounded"
        sheet.node(node, (node, -0.42), radius=0.42, shape=shape)
    sheet.write("input", (0.0, -1.05), 0.28)
    sheet.write("output", (size - 1.0, -1.05), 0.28)
    return sheet


def _layered(dag: nx.DiGraph, sheet_of: SheetMaker) -> Sheet:
    layout = layered_layout(dag)
    wide = 2.4
    places = {node: (x * wide, y) for node, (x, y) in layout.nodes.items()}
    ys = [y for route in layout.routes.values() for _, y in route]
    right = places[len(dag) - 1][0]
    sheet = sheet_of((-1.7, min(ys) - 0.6), (right + 1.9, max(ys) + 0.6), 0.52)
    leave, arrive = _fans(layout.routes, places, wide)
    for edge, route in sorted(layout.routes.items()):
        points = np.array([(x * wide, y) for x, y in route])
        out, into = _unit(leave[edge]), _unit(arrive[edge])
        points[0] += _RADIUS * out
        points[-1] -= _RADIUS * into
        curve = _through(points, out, into)
        direction = (float(into[0]), float(into[1]))
        sheet.arrow(edge, curve, direction, line=0.04, head=0.17)
    for node, at in places.items():
        shape: Shape = "square" if node in (0, len(dag) - 1) else "circle"
        sheet.node(node, at, radius=_RADIUS, shape=shape)
    first, last = places[0], places[len(dag) - 1]
    sheet.write("input", (first[0] - 0.45, first[1]), 0.28, align="right")
    sheet.write("output", (last[0] + 0.45, last[1]), 0.28, align="left")
    return sheet


def _fans(
    routes: Mapping[Edge, list[Point]], places: Mapping[int, Point], wide: float
) -> tuple[dict[Edge, float], dict[Edge, float]]:
    """Returns the angle at which each edge leaves and at which it arrives, in radians.

    Edges at one side of a node are fanned out, lest arrowheads cover each other.
    """
    leave: dict[Edge, float] = {}
    arrive: dict[Edge, float] = {}
    for node in places:
        fed = [(r[1], e) for e, r in routes.items() if e[0] == node]
        incoming = [(r[-2], e) for e, r in routes.items() if e[1] == node]
        # Upward is a positive angle for who leaves, a negative one for who comes down.
        for beside, angles, sign in ((fed, leave, 1), (incoming, arrive, -1)):
            beside.sort(key=lambda pair: pair[0][1])
            slopes = [math.atan2(y - places[node][1], wide) for (_, y), _ in beside]
            for (_, edge), angle in zip(beside, _spread(slopes), strict=True):
                angles[edge] = sign * angle
    return leave, arrive


def _spread(angles: list[float]) -> list[float]:
    """Returns ascending angles, at least 28 degrees apart if 150 degrees allow it."""
    if not angles:
        return []
    step = min(math.radians(28), math.radians(150) / max(1, len(angles) - 1))
    low, high = math.radians(-75), math.radians(75)
    spread: list[float] = []
    for at, angle in enumerate(angles):
        least = spread[-1] + step if spread else low
        most = high - step * (len(angles) - 1 - at)
        spread.append(min(max(angle * 0.8, least), most))
    # What was pushed up stands back as far as its followers let it.
    shift = sum(a * 0.8 - s for a, s in zip(angles, spread, strict=True))
    shift = max(low - spread[0], min(high - spread[-1], shift / len(angles)))
    return [angle + shift for angle in spread]


def _unit(angle: float) -> np.ndarray:
    return np.array([math.cos(angle), math.sin(angle)])


def _through(points: np.ndarray, out: np.ndarray, into: np.ndarray) -> list[Point]:
    """Returns a Bezier curve through points that never overshoots between two of them.

    Its slope inside is the harmonic mean of those on either side (Fritsch and Carlson's
    condition for a monotone cubic), and 0 where the direction turns.
    """
    steps = np.diff(points, axis=0)
    slopes = steps[:, 1] / steps[:, 0]
    curve = [points[0]]
    for at, step in enumerate(steps):
        third = step[0] / 3
        here = np.array([third, third * _between(slopes, at)])
        there = np.array([third, third * _between(slopes, at + 1)])
        if at == 0:
            here = out * min(third, 0.6)
        if at == len(steps) - 1:
            there = into * min(third, 0.75)
        curve += [points[at] + here, points[at + 1] - there, points[at + 1]]
    return [(float(x), float(y)) for x, y in curve]


def _between(slopes: np.ndarray, at: int) -> float:
    if at in (0, len(slopes)) or slopes[at - 1] * slopes[at] <= 0:
        return 0.0
    return float(2 / (1 / slopes[at - 1] + 1 / slopes[at]))


def _matrix(dag: nx.DiGraph, sheet_of: SheetMaker) -> Sheet:
    size = len(dag)
    if size > MAX_MARKS:
        return _image(dag, sheet_of)
    sheet = sheet_of((-2.5, 0.2 - size), (size + 1.8, 0.8), 0.3)
    line = 0.06 * sheet.unit
    for node in range(size):
        colour = COLOURS[node % len(COLOURS)]
        for j in dag.succ[node]:
            sheet.mark((node, j))
        if dag.succ[node]:
            ends = [-node, -max(dag.succ[node])]
            sheet.ax.plot([node, node], ends, color=colour, lw=line, zorder=2)
        if dag.pred[node]:
            ends = [min(dag.pred[node]), node]
            sheet.ax.plot(ends, [-node, -node], color="#CCCCCC", lw=line, zorder=1)
        shape: Shape = "square" if node in (0, size - 1) else "circle"
        sheet.node(node, (node, -node), radius=0.42, shape=shape)
    sheet.write("input", (-0.6, 0.0), 0.5, align="right")
    sheet.write("output", (size - 0.4, 1.0 - size), 0.5, align="left")
    return sheet


def _image(dag: nx.DiGraph, sheet_of: SheetMaker) -> Sheet:
    size = len(dag)
    sheet = sheet_of((-0.2 * size, -1.12 * size), (1.04 * size, 0.06 * size), 8 / size)
    cells = np.zeros((size, size), dtype=np.float32)
    for i, j in dag.edges:
        cells[j, i] = sheet.strength((i, j))
    extent = (-0.5, size - 0.5, 0.5 - size, 0.5)
    sheet.ax.imshow(
        cells, cmap="Greys", vmin=0, vmax=1, extent=extent, interpolation="none"
    )
    sheet.ax.plot([-0.5, size - 0.5], [0.5, 0.5 - size], color="#CCCCCC", lw=0.5)
    letter = 0.025 * size
    for node in (0, size - 1):
        sheet.write(f"{node}", (-0.02 * size, -node), letter, align="right")
        sheet.write(f"{node}", (node, -1.03 * size), letter)
    sheet.write("to node", (-0.02 * size, -size / 2), letter, align="right")
    sheet.write("from node", (size / 2, -1.03 * size), letter)
    return sheet
