"""Pictures of experiments show each run, and each entry's mean over its seeds."""

from typing import Any

import numpy as np

from ddw_graph.analysis.comparison_figures import (
    accuracy_figure,
    budget_figure,
    graph_figure,
)


def row(
    wiring: str, seed: int, accuracy: float, **graph: float | None
) -> dict[str, Any]:
    known = {"entry": wiring, "wiring": wiring, "edges": "learned", "seed": seed}
    return {**known, "test_accuracy": accuracy, **graph}


def test_the_comparison_shows_means_and_intervals() -> None:
    rows = [
        row(entry, seed, 0.8 + 0.01 * seed + plus)
        for entry, plus in (("a", 0), ("b", 0.05))
        for seed in (0, 1)
    ]
    ends = {"difference_low": 4.0, "difference_high": 6.0}
    summary = [
        {"entry": "a", "accuracy": 80.5, "difference": None, "difference_low": None},
        {"entry": "b", "accuracy": 85.5, "difference": 5.0, **ends},
    ]
    left, right = accuracy_figure(rows, summary).axes
    shown = [np.asarray(line.get_xdata(), np.float64).tolist() for line in left.lines]
    np.testing.assert_allclose(np.concatenate(shown), [80, 81, 80.5, 85, 86, 85.5])
    np.testing.assert_allclose(np.asarray(right.lines[-1].get_xdata()), [4, 6])


def test_budgets_of_a_wiring_are_joined_over_time_and_over_macs() -> None:
    points = [  # entry, wiring, budget, ms, expected MACs, accuracy
        ("a 1", "a", 1.0, 0.4, 4e6, 86.0),
        ("a 0.5", "a", 0.5, 0.3, 2e6, 85.0),
        ("b", "b", None, 0.2, None, 80.0),
    ]
    rows = [
        {"entry": entry, "wiring": wiring, "edges": "dynamic", "budget": budget}
        for entry, wiring, budget, *_ in points
    ]
    names = "entry inference_ms expected_macs accuracy".split()
    summary = [
        dict(zip(names, (entry, *numbers), strict=True))
        | {"total_macs": 4e6, "accuracy_std": None}
        for entry, _, _, *numbers in points
    ]
    time, macs = budget_figure(rows, summary).axes
    drawn = [
        [np.column_stack(line.get_data()).tolist() for line in ax.lines]
        for ax in (time, macs)
    ]
    assert drawn[0] == [[[0.3, 85.0], [0.4, 86.0]], [[0.2, 80.0]]]
    assert drawn[1] == [[[2.0, 85.0], [4.0, 86.0]], []]
    assert [text.get_text() for text in time.texts] == ["budget 0.5", "budget 1", ""]
    assert [text.get_text() for text in macs.texts] == ["50.0%", "100.0%"]
    for each in summary:  # a report whose times were not measured
        del each["inference_ms"]
    untimed, macs = budget_figure(rows, summary).axes
    assert not untimed.texts and len(macs.texts) == 2


def test_graphs_have_each_run_and_the_mean_of_each_entry() -> None:
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
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["ws learned", "complete learned"]


def test_edges_of_one_kind_have_markers_while_there_are_enough() -> None:
    def looks(biases: int) -> set[tuple[str, str]]:
        rows = [
            row("ws", 0, 0.8, clustering=0.2, average_path_length=2.0)
            | {"entry": bias, "edges": f"dynamic:bias={bias}"}
            for bias in range(biases)
        ]
        lines = graph_figure(rows).axes[0].lines[1::2]
        return {(str(line.get_marker()), str(line.get_label())) for line in lines}

    assert looks(2) == {("o", "ws dynamic:bias=0"), ("s", "ws dynamic:bias=1")}
    assert looks(20) == {("o", "ws dynamic")}
