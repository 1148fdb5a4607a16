"""The pen of a drawn wiring: nodes, arrows and marks on an axes, in its own units."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch, PathPatch, Polygon, Rectangle
from matplotlib.path import Path

from ddw_graph.errors import WiringError

Edge = tuple[int, int]
Point = tuple[float, float]
Shape = Literal["circle", "square", "rounded"]

# Okabe and Ito's colours, which colour-blind readers can distinguish; yellow, too pale
# for a line on white, is left out. Neighbours in number never share one.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#4D4D4D", "#56B4E9", "#E69F00")

_POINTS = 72.0
"""Points to an inch."""

_CLOSED = "#BBBBBB"


class Sheet:
    """An axes without frame whose unit is the distance between two nodes.

    Widths and letters scale with the axes, so a wiring looks the same in a panel as on
    its own page. Every edge is an artist with the gid ``edge-i-j``, every node one
    with ``node-i``; SVG keeps them as ids.

    Args:
        low: Lower left corner of what is to be seen.
        high: Upper right corner.
        inches: Size of a unit on its own page.
        ax: Axes to draw into; a new figure's if None.
        weights: Weight of each edge, which sets how strong it is drawn; 0 is closed.
    """

    def __init__(
        self,
        low: Point,
        high: Point,
        *,
        inches: float,
        ax: Axes | None,
        weights: Mapping[Edge, float] | None,
    ) -> None:
        width, height = high[0] - low[0], high[1] - low[1]
        if ax is None:
            figure = Figure(figsize=(inches * width, inches * height))
            ax = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        page = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
        self.ax = ax
        self.unit = _POINTS * min(page.width / width, page.height / height)
        self.weights = weights
        self.most = max((abs(w) for w in (weights or {}).values()), default=0.0) or 1.0
        ax.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
        ax.set_axis_off()

    def arrow(
        self,
        edge: Edge,
        curve: Sequence[Point],
        direction: Point,
        *,
        line: float,
        head: float,
    ) -> None:
        """Draws an edge along a cubic Bezier curve with its head at the curve's end.

        Args:
            edge: Source and target.
            curve: The start, then two control points and a point, again and again.
            direction: Unit vector in which the edge arrives.
            line: Width of the line in units.
            head: Width of the head in units.
        """
        colour, bold = self.ink(edge)
        along = np.asarray(direction)
        across = np.array([-along[1], along[0]]) * head / 2
        points = np.asarray(curve, dtype=float)
        tip, base = points[-1].copy(), points[-1] - along * head * 1.2
        points[-1] = base
        codes = [Path.MOVETO] + [Path.CURVE4] * (len(points) - 1)
        shaft = PathPatch(
            Path(points, codes),
            facecolor="none",
            edgecolor=colour,
            linewidth=line * self.unit * bold,
            capstyle="butt",
            zorder=1 + bold / 2,
            gid=f"edge-{edge[0]}-{edge[1]}",
        )
        if self.closed(edge):
            shaft.set_linestyle((0, (2, 2)))
        self.ax.add_patch(shaft)
        self.ax.add_patch(
            Polygon([base + across, base - across, tip], color=colour, lw=0, zorder=3)
        )

    def mark(self, edge: Edge) -> None:
        """Marks an edge in the matrix: a head at its column and row, pointing right."""
        x, y, half = edge[0], -edge[1], 0.3 * max(0.5, self.strength(edge))
        colour, _ = self.ink(edge)
        self.ax.add_patch(
            Polygon(
                [(x - half, y + half), (x - half, y - half), (x + half, y)],
                facecolor="white" if self.closed(edge) else colour,
                edgecolor=colour,
                linewidth=0.04 * self.unit,
                zorder=3,
                gid=f"edge-{edge[0]}-{edge[1]}",
            )
        )

    def node(self, node: int, at: Point, *, radius: float, shape: Shape) -> None:
        """Draws a node with its number."""
        colour = COLOURS[node % len(COLOURS)]
        look: dict[str, Any] = {
            "facecolor": colour,
            "linewidth": 0,
            "zorder": 4,
            "gid": f"node-{node}",
        }
        corner, side = (at[0] - radius, at[1] - radius), 2 * radius
        match shape:
            case "circle":
                self.ax.add_patch(Circle(at, radius, **look))
            case "square":
                self.ax.add_patch(Rectangle(corner, side, side, **look))
            case "rounded":
                style = f"round,pad=0,rounding_size={0.4 * radius}"
                self.ax.add_patch(
                    FancyBboxPatch(corner, side, side, boxstyle=style, **look)
                )
        # Black reads better on the palest of the colours, white on the others.
        pale = np.dot(to_rgb(colour), (0.2126, 0.7152, 0.0722)) > 0.55
        ink, letters = "black" if pale else "white", 0.95 if node < 100 else 0.7
        self.write(str(node), at, radius * letters, color=ink, bold=True)

    def write(
        self,
        text: str,
        at: Point,
        height: float,
        *,
        color: str = "black",
        bold: bool = False,
        align: str = "center",
    ) -> None:
        """Writes text in letters of a height in units."""
        self.ax.text(
            *at,
            text,
            color=color,
            fontsize=height * self.unit,
            fontweight="bold" if bold else "normal",
            horizontalalignment=align,
            verticalalignment="center_baseline" if bold else "center",
            zorder=5,
        )

    def closed(self, edge: Edge) -> bool:
        """Returns whether an edge's weight is 0."""
        return self.weights is not None and self.weights[edge] == 0

    def strength(self, edge: Edge) -> float:
        """Returns an edge's weight as a share of the largest; 1 without weights."""
        if self.weights is None:
            return 1.0
        return abs(self.weights[edge]) / self.most

    def ink(self, edge: Edge) -> tuple[str, float]:
        """Returns the colour of an edge, its source's, and how bold it is."""
        if self.closed(edge):
            return _CLOSED, 0.5
        bold = 1.0 if self.weights is None else 0.3 + 1.3 * self.strength(edge)
        return COLOURS[edge[0] % len(COLOURS)], bold


def checked_weights(
    weights: Mapping[Edge, float] | None, edges: set[Edge]
) -> Mapping[Edge, float] | None:
    """Returns ``weights`` once they are known to name every edge, finitely.

    Raises:
        WiringError: If an edge lacks a weight, has none that is finite, or is unknown.
    """
    if weights is None:
        return None
    for edge in edges:
        if edge not in weights:
            raise WiringError(f"every edge needs a weight, {edge} has none")
    for edge, weight in weights.items():
        if edge not in edges:
            raise WiringError(f"weights are those of edges, the wiring has no {edge}")
        if not np.isfinite(weight):
            raise WiringError(f"weights must be finite, got {weight} for {edge}")
    return weights
