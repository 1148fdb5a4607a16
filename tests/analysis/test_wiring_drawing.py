"""Drawn wirings: every edge is there, arrives where it should, and can be seen."""

import re
import sys
from collections import defaultdict
from typing import Any

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.patches import Circle

from ddw_graph.analysis.layered_layout import layered_layout
from ddw_graph.analysis.pictures import rendered
from ddw_graph.analysis.wiring_drawing import (
    CLOSED,
    RADIUS,
    automatic_style,
    draw_wiring,
)
from ddw_graph.errors import WiringError
from ddw_graph.generators import (
    barabasi_albert,
    complete,
    erdos_renyi,
    residual,
    streams,
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


@pytest.mark.parametrize(
    ("dag", "style"),
    [
        *zip(PAPER, ["layered", "layered", "layered", "matrix"], strict=True),
        (complete(6), "arcs"),
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
    layer = longest_path_layers(dag)
    routes = layered_layout(dag)
    assert routes.keys() == set(dag.edges)
    places: dict[int, tuple[float, ...]] = {}
    passed: dict[int, list[float]] = defaultdict(list)
    for (i, j), route in routes.items():
        assert route[:, 0].tolist() == list(range(layer[i], layer[j] + 1))
        for node, at in ((i, route[0]), (j, route[-1])):
            assert places.setdefault(node, tuple(at)) == tuple(at)
        for x, y in route[1:-1]:
            passed[int(x)].append(y)
    taken: dict[int, list[float]] = defaultdict(list)
    for x, y in places.values():
        taken[int(x)].append(y)
        # No edge passes nearer to a node than the node's radius and a half.
        assert all(abs(y - other) > 0.45 for other in passed[int(x)])
    for ys in taken.values():
        assert all(np.diff(sorted(ys)) > 0.99)
    for ys in passed.values():
        assert all(np.diff(sorted(ys)) > 0.44)


@pytest.mark.parametrize("style", ["arcs", "layered"])
@pytest.mark.parametrize("dag", PAPER[:2])
def test_each_edge_leads_from_its_source_to_its_target(
    dag: nx.DiGraph, style: str
) -> None:
    axes = draw_wiring(dag, style=style).axes[0]
    shapes = {shape.get_gid(): shape for shape in axes.patches}
    ids = [f"edge-{i}-{j}" for i, j in dag.edges] + [f"node-{i}" for i in dag]
    assert len(axes.patches) == len(shapes) and shapes.keys() == set(ids)
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted([*map(str, dag), "input", "output"])
    for i, j in dag.edges:
        ends = [shapes[f"node-{node}"] for node in (i, j)]
        source, target = (np.array(c.center) for c in ends if isinstance(c, Circle))
        points = np.asarray(shapes[f"edge-{i}-{j}"].get_path().vertices)
        assert np.hypot(*(points[0] - source)) < 0.1
        # Of its points, the head's tip is the nearest to the target, at its rim.
        near = np.hypot(*(points - target).T).min()
        assert RADIUS - 0.01 < near < RADIUS + 0.1


def test_an_identity_node_is_a_small_dot_without_a_number() -> None:
    dag = streams(3, 2)
    axes = draw_wiring(dag, style="layered").axes[0]
    radii = {c.get_gid(): c.radius for c in axes.patches if isinstance(c, Circle)}
    small = [v for v, kind in dag.nodes(data="operation") if kind == "identity"]
    assert [v for v in dag if radii[f"node-{v}"] < RADIUS / 2] == small
    texts = [text.get_text() for text in axes.texts]
    assert sorted(texts) == sorted(
        [*(str(v) for v in dag if v not in small), "input", "output"]
    )


@pytest.mark.parametrize("dag", [vgg(3), erdos_renyi(120, 0.2, seed=0)])
def test_a_matrix_has_a_row_for_each_target(dag: nx.DiGraph) -> None:
    image = draw_wiring(dag, style="matrix").axes[0].get_images()[0].get_array()
    assert image is not None
    assert {(int(i), int(j)) for j, i in np.argwhere(image[..., 3])} == set(dag.edges)


def test_weights_set_how_bold_an_edge_is() -> None:
    dag = nx.DiGraph([(0, 1), (0, 2), (1, 2)])
    weights = {(0, 1): 1.0, (0, 2): -0.25, (1, 2): 0.0}
    axes = draw_wiring(dag, style="arcs", weights=weights).axes[0]
    lines = {shape.get_gid(): shape for shape in axes.patches}
    bold, faint, closed = (lines[f"edge-{e}"] for e in ("0-1", "0-2", "1-2"))
    assert bold.get_linewidth() > 2 * faint.get_linewidth()
    assert [line.get_linestyle() for line in (bold, faint)] == ["-", "-"]
    assert closed.get_linestyle() != "-"
    axes = draw_wiring(dag, style="matrix", weights=weights).axes[0]
    image = axes.get_images()[0].get_array()
    assert image is not None and image[1, 0, 3] > 2 * image[2, 0, 3] > 0
    assert image[2, 1, :3].tolist() == pytest.approx([int(CLOSED[1:3], 16) / 255] * 3)


@pytest.mark.parametrize(
    ("dag", "options", "message"),
    [
        (vgg(4), {"style": "circular"}, "matrix, got 'circu"),
        (vgg(100), {"style": "arcs"}, "at most 80 nodes, got 102"),
        (complete(80), {"style": "layered"}, "at most 20000 slots"),
        (nx.DiGraph([(0, 1), (1, 1), (1, 2)]), {}, "self-loop"),
        (vgg(1), {"weights": {(0, 1): 1.0}}, r"\(1, 2\)"),
        (vgg(1), {"weights": {(0, 1): 1.0, (1, 2): 1.0, (0, 2): 1.0}}, r"\(0, 2\)"),
        (vgg(1), {"weights": {(0, 1): 1.0, (1, 2): float("nan")}}, "nan"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(
    dag: nx.DiGraph, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(WiringError, match=message):
        draw_wiring(dag, **options)


def test_svg_names_its_edges_has_no_date_and_pyplot_is_left_alone() -> None:
    before = "matplotlib.pyplot" in sys.modules
    page = rendered(draw_wiring(vgg(2)), ".svg").decode()
    assert {"edge-0-1", "edge-1-2", "edge-2-3"} <= set(re.findall(r'id="(.*?)"', page))
    assert page == rendered(draw_wiring(vgg(2)), ".SVG").decode()
    assert "<dc:date>" not in page
    assert ("matplotlib.pyplot" in sys.modules) == before
