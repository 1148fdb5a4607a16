"""The picture of graphs shows each run, and each entry's mean over its seeds."""

from typing import Any

import numpy as np

from ddw_graph.analysis.comparison_figures import budget_figure, graph_figure


def row(
    wiring: str, seed: int, accuracy: float, **graph: float | None
) -> dict[str, Any]:
    known = {"entry": wiring, "wiring": wiring, "edges": "learned", "seed": seed}
    return {**known, "test_accuracy": accuracy, **graph}


def looks(biases: int) -> set[tuple[str, str]]:
    """Returns the markers of settings that differ in their bias, with their names."""
    rows = [
        row("ws", 0, 0.8, clustering=0.2, average_path_length=2.0)
        | {"entry": bias, "edges": f"dynamic:bias={bias}"}
        for bias in range(biases)
    ]
    lines = graph_figure(rows).axes[0].lines[1::2]
    assert len(lines) == biases
    return {(str(line.get_marker()), str(line.get_label())) for line in lines}


def test_budgets_of_a_wiring_are_joined() -> None:
    rows = [
        row("complete", 0, 0.8) | {"entry": f"budget={b}", "budget": b}
        for b in (0.5, 1.0)
    ]
    table = [
        {
            **{"entry": f"budget={b}", "budget": b, "accuracy": 80.0 * b},
            **{"accuracy_std": None, "expected_macs": 1e6 * b, "total_macs": 1e6},
        }
        for b in (0.5, 1.0)
    ]
    for more in ({}, {"inference_ms": 2.0}):
        left, right = budget_figure(rows, [one | more for one in table]).axes
        (line,) = right.containers
        np.testing.assert_allclose(line[0].get_xydata(), [(0.5, 40), (1.0, 80)])
        assert [text.get_text() for text in right.texts] == ["50.0%", "100.0%"]


def test_edges_of_one_kind_have_markers_while_there_are_enough() -> None:
    assert looks(2) == {("o", "ws dynamic:bias=0"), ("s", "ws dynamic:bias=1")}
    assert looks(20) == {("o", "ws dynamic")}


def test_the_picture_has_each_run_and_the_mean_of_each_setting() -> None:
    rows = [
        row("ws:k=4,p=0.5", 0, 0.8, clustering=0.2, average_path_length=2.0),
        row("ws:k=4,p=0.5", 1, 0.9, clustering=0.4, average_path_length=3.0),
        row("complete", 0, 0.7, clustering=1.0, average_path_length=None),
    ]
    left, right = graph_figure(rows).axes
    drawn = [line.get_xydata() for line in left.lines]
    expected = [[(0.2, 80), (0.4, 90)], [(0.3, 85)], [(1.0, 70)], [(1.0, 70)]]
    for found, wanted in zip(drawn, expected, strict=True):
        np.testing.assert_allclose(np.asarray(found), wanted)
    # A run without a path length is left out of that panel.
    np.testing.assert_allclose(np.asarray(right.lines[1].get_xydata()), [(2.5, 85)])
    assert len(right.lines) == 2
    (legend,) = left.figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "ws learned",
        "complete learned",
    ]
