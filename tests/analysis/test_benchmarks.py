"""Tables and picture of benchmarks show the numbers that they are of."""

from dataclasses import asdict
from typing import Any

import numpy as np
import pytest

from ddw_graph.analysis.benchmark_figure import benchmark_figure
from ddw_graph.analysis.benchmark_tables import benchmark_tables
from ddw_graph.benchmarking.latency import Latency
from ddw_graph.benchmarking.measurement import curve, measurement
from ddw_graph.benchmarking.spread import spread
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


def timed(thresholds: str | None, batch: int, factor: float) -> dict[str, Any]:
    """Returns a latency whose spread is a quarter and three quarters of a ms more."""
    times = spread([1e-3 * factor * value for value in (1, 2, 3, 4, 5)])
    first = spread([factor] * 5)
    return asdict(
        Latency(
            *("net", "fixed", thresholds, "pytorch", batch, 32, times, first),
            open_edges=0.5,
            macs=1.5e6,
            top1=None if thresholds else 70.25,
        )
    )


def test_latencies_stand_in_the_form_of_table_3_beside_the_papers_rows() -> None:
    rows = [timed(None, 1, 1), timed(None, 8, 1), timed("on", 1, 2)]
    text = benchmark_tables(found() | {"latencies": rows})
    lines = text[text.index("### latency") :].splitlines()[4:]
    assert lines[0].startswith(
        "| net, fixed | pytorch | 1 | 32 | 70.25 | 3.000 (2.000 to 4.000) | 1.00 (1.00 "
    )
    assert lines[1].startswith("| net, fixed, thresholds on | pytorch | 1 | 32 | – | 6")
    assert lines[1].endswith("| 2.00 (2.00 to 2.00) | 50% | 1.5M |")
    assert lines[2].startswith("| net, fixed | pytorch | 8 |")
    assert lines[6].startswith("| DDW-MBv2-1.0 (paper) | – | – | 224 | 73.5 | 0.257 |")
    assert "not with ours" in text
    alone = found() | {"measurements": [], "curves": [], "latencies": rows}
    (ratios,) = benchmark_figure(alone).axes
    labels = [label.get_text() for label in ratios.get_yticklabels()]
    assert labels[2] == "pytorch, batch 1, 32 px\nnet, fixed, thresholds on / the first"
