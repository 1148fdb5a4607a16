"""Tables and picture of benchmarks show the numbers that they are of."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from ddw_graph.analysis.benchmark_figure import benchmark_figure
from ddw_graph.analysis.benchmark_tables import benchmark_tables
from ddw_graph.benchmarking.measurement import curve, measurement
from ddw_graph.errors import DataError

SECONDS = {"ours": [0.001, 0.004, 0.009], "theirs": [0.002, 0.002, 0.002]}
BYTES = {"ours": [3e9], "theirs": [4e9]}


def found() -> dict[str, Any]:
    times = [[1.0, 1.0], [2.0, 4.0], [4.0, 16.0]]
    return {
        "environment": {"threads": 2, "memory_rounds": 3},
        "measurements": [
            asdict(measurement("one", "step", SECONDS, "ours", to="theirs")),
            asdict(
                measurement("two", "peak", BYTES, "ours", to="theirs", unit="bytes")
            ),
        ],
        "curves": [
            asdict(curve("growth", "act, batch 8", axis, sizes, times))
            for axis, sizes in (("nodes", [1, 2, 4]), ("edges", [1, 4, 16]))
        ],
    }


def test_tables_hold_each_figure_with_its_spread() -> None:
    text = benchmark_tables(found())
    assert "| step | ours | 4.00 ms | theirs | 2.00 ms | 2.00 (1.25 to 3.25) |" in text
    assert "| peak | ours | 3,000 MB | theirs | 4,000 MB | 0.75 (0.75 to 0.75)" in text
    assert "### growth with nodes: act, batch 8" in text
    assert "| 4 | 10,000 ms | 10.00 (7.00 to 13.00) |" in text
    assert "Exponent: 1.50 (1.25 to 1.75)" in text
    assert "Exponent: 0.75 (0.62 to 0.88)" in text
    assert text.endswith("threads 2, memory rounds 3")


def test_the_picture_shows_ratios_beside_1_and_growth_on_log_axes() -> None:
    ratios, growth = benchmark_figure(found()).axes  # edges have no panel of their own
    line, *medians = ratios.lines
    assert list(np.asarray(line.get_xdata())) == [1, 1]
    shown = [float(np.asarray(dots.get_xdata())[0]) for dots in medians]
    assert shown == pytest.approx([2, 0.75])
    (whisker,) = ratios.collections[0].get_paths()
    np.testing.assert_allclose(np.asarray(whisker.vertices)[:, 0], [1.25, 3.25])
    labels = [label.get_text() for label in ratios.get_yticklabels()]
    assert labels == ["step\nours / theirs", "peak\nours / theirs"]
    (times,) = growth.lines
    np.testing.assert_allclose(np.asarray(times.get_xdata()), [1, 2, 4])
    np.testing.assert_allclose(np.asarray(times.get_ydata()), [1e3, 3e3, 1e4])
    assert (growth.get_xscale(), growth.get_yscale()) == ("log", "log")
    assert times.get_label() == "act, exponent 1.50"


@pytest.mark.parametrize("empty", ["measurements", "curves"])
def test_a_picture_may_lack_either_but_not_both(empty: str) -> None:
    part = found() | {empty: []}
    assert len(benchmark_figure(part).axes) == 1
    with pytest.raises(DataError, match="one that ran, got none"):
        benchmark_figure(part | {"measurements": [], "curves": []})
