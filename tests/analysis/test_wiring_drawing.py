"""Drawn wirings: every edge is there, arrives where it should, and can be seen."""

import re
import sys

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch

from ddw_graph.analysis.layered_layout import layered_layout
from ddw_graph.analysis.pictures import rendered
from ddw_graph.analysis.wiring_drawing import (
    automatic_style,
    draw_wiring,
)
from ddw_graph.errors import WiringError
from ddw_graph.generators import (
    barabasi_albert,
    complete,
    erdos_renyi,
    residual,
    resnet,
    vgg,
    watts_strogatz,
)
from ddw_graph.wiring.description import longest_path_layers

PAPER = [
    watts_strogatz(32, 4, 0.75, seed=0),
    erdos_renyi(32, 0.2, seed=3),
    barabasi_albert(32, 5, seed=0),
    complete(32),
]


def named(figure: Figure, what: str) -> list[tuple[int, ...]]:
    """Returns the numbers of all artists whose gid is ``what-...``, each once."""
    found = [artist.get_gid() or "" for artist in figure.axes[0].get_children()]
    return sorted(
        tuple(map(int, gid.split("-")[1:])) for gid in found if gid.startswith(what)
    )


@pytest.mark.parametrize("style", ["arcs", "matrix", "layered"])
@pytest.mark.parametrize("dag", PAPER[:3])
def test_every_node_and_edge_is_drawn_once(dag: nx.DiGraph, style: str) -> None:
    figure = draw_wiring(dag, style=style)
    assert named(figure, "edge-") == sorted(dag.edges)
    assert named(figure, "node-") == [(node,) for node in range(34)]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(texts) == sorted([*map(str, range(34)), "input", "output"])


@pytest.mark.parametrize(
    ("dag", "style"),
    [
        *zip(PAPER, ["layered", "layered", "layered", "matrix"], strict=True),
        (complete(6), "arcs"),
        (resnet(32), "arcs"),
        (vgg(20), "arcs"),
        (residual(30), "matrix"),
        (erdos_renyi(200, 0.3, seed=0), "matrix"),
    ],
)
def test_auto_chooses_what_can_be_read(dag: nx.DiGraph, style: str) -> None:
    assert automatic_style(dag) == style


@settings(max_examples=25)
@given(n=st.integers(1, 14), p=st.floats(0, 1), seed=st.integers(0, 99))
def test_layers_leave_room_and_edges_run_forward(n: int, p: float, seed: int) -> None:
    dag = erdos_renyi(n, p, seed=seed)
    layout = layered_layout(dag)
    layer = longest_path_layers(dag)
    assert layout.routes.keys() == set(dag.edges)
    taken: dict[int, list[float]] = {}
    for node, (x, y) in layout.nodes.items():
        assert x == layer[node]
        taken.setdefault(int(x), []).append(y)
    for (i, j), route in layout.routes.items():
        assert (route[0], route[-1]) == (layout.nodes[i], layout.nodes[j])
        assert [x for x, _ in route] == list(range(layer[i], layer[j] + 1))
        for x, y in route[1:-1]:
            # No edge passes nearer to a node than the node's radius and a half.
            assert all(abs(y - other) > 0.45 for other in taken[int(x)])
    for ys in taken.values():
        assert all(np.diff(sorted(ys)) > 0.99)


@pytest.mark.parametrize("style", ["arcs", "layered"])
def test_an_edge_begins_at_its_source_and_arrives_at_its_target(style: str) -> None:
    dag = PAPER[0]
    axes = draw_wiring(dag, style=style).axes[0]
    shapes = {shape.get_gid(): shape for shape in axes.patches}
    centres = {}
    for node in range(34):
        box = (
            shapes[f"node-{node}"]
            .get_path()
            .get_extents(shapes[f"node-{node}"].get_patch_transform())
        )
        centres[node] = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    for i, j in dag.edges:
        shaft = shapes[f"edge-{i}-{j}"]
        assert isinstance(shaft, PathPatch)
        start, *_, end = np.asarray(shaft.get_path().vertices)
        assert np.hypot(*(start - centres[i])) < 0.7
        assert np.hypot(*(end - centres[j])) < 0.75
        # Edges leave to the right and arrive from the left, or both at the upper side.
        side = {"layered": (0, 1), "arcs": (1, -1)}[style]
        assert start[side[0]] > centres[i][side[0]]
        assert side[1] * end[side[0]] < side[1] * centres[j][side[0]]


def test_matrix_rows_hear_and_columns_feed() -> None:
    axes = draw_wiring(vgg(3), style="matrix").axes[0]
    marks = {shape.get_gid(): shape for shape in axes.patches}
    corners = np.asarray(marks["edge-1-2"].get_path().vertices)
    x, y = (corners.min(0) + corners.max(0)) / 2
    assert (round(float(x), 6), round(float(y), 6)) == (1, -2)


def test_weights_set_how_bold_an_edge_is() -> None:
    dag = nx.DiGraph([(0, 1), (0, 2), (1, 2)])
    weights = {(0, 1): 1.0, (0, 2): 0.25, (1, 2): 0.0}
    axes = draw_wiring(dag, style="arcs", weights=weights).axes[0]
    lines = {shape.get_gid(): shape for shape in axes.patches}
    bold, faint, closed = (lines[f"edge-{e}"] for e in ("0-1", "0-2", "1-2"))
    assert bold.get_linewidth() > 2 * faint.get_linewidth()
    assert bold.get_linestyle() in ("-", "solid")
    assert closed.get_linestyle() not in ("-", "solid")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({(0, 1): 1.0}, r"every edge needs a weight, \(1, 2\) has none"),
        ({(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0}, r"the wiring has no \(0, 2\)"),
        ({(0, 1): 1.0, (1, 2): float("nan")}, "must be finite, got nan"),
    ],
)
def test_weights_are_those_of_the_edges(
    weights: dict[tuple[int, int], float], message: str
) -> None:
    with pytest.raises(WiringError, match=message):
        draw_wiring(vgg(1), weights=weights)


def test_draws_into_axes_that_are_given() -> None:
    figure = Figure(figsize=(8, 4))
    left, right = figure.subplots(1, 2)
    assert isinstance(left, Axes)
    assert draw_wiring(complete(4), ax=left) is figure
    assert draw_wiring(PAPER[0], ax=right) is figure
    assert len(figure.axes) == 2
    rendered(figure, ".png")


def test_a_large_wiring_is_an_image() -> None:
    dag = erdos_renyi(120, 0.2, seed=0)
    image = draw_wiring(dag).axes[0].get_images()[0].get_array()
    assert image is not None
    assert {(int(i), int(j)) for j, i in np.argwhere(image)} == set(dag.edges)


@pytest.mark.parametrize(
    ("dag", "style", "message"),
    [
        (vgg(4), "circular", "style must be auto, arcs, layered, matrix, got 'circu"),
        (vgg(100), "arcs", "at most 80 nodes, got 102; draw it as a matrix"),
        (complete(80), "layered", "at most 20000 slots.*as a matrix"),
        (nx.DiGraph([(0, 1), (1, 1), (1, 2)]), "auto", "self-loop"),
    ],
)
def test_says_what_it_cannot_draw(dag: nx.DiGraph, style: str, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        draw_wiring(dag, style=style)


def test_svg_names_its_edges_and_has_no_date() -> None:
    page = rendered(draw_wiring(vgg(2)), ".svg").decode()
    assert {"edge-0-1", "edge-1-2", "edge-2-3"} <= set(re.findall(r'id="(.*?)"', page))
    assert page == rendered(draw_wiring(vgg(2)), ".SVG").decode()
    assert "<dc:date>" not in page


def test_pyplot_is_left_alone() -> None:
    before = "matplotlib.pyplot" in sys.modules
    draw_wiring(PAPER[0])
    assert ("matplotlib.pyplot" in sys.modules) == before
