"""Medians, quartiles, ratios of pairs, and exponents of exact powers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.benchmarking.measurement import curve, measurement
from ddw_graph.benchmarking.spread import Spread, exponent, ratio, spread
from ddw_graph.errors import RunError

POSITIVE = st.floats(1e-6, 1e6)


@given(values=st.lists(POSITIVE, min_size=1, max_size=30))
def test_a_spread_is_numpys_percentiles(values: list[float]) -> None:
    expected = np.percentile(values, [50, 25, 75])
    found = spread(values)
    np.testing.assert_allclose((found.median, found.low, found.high), expected)


def test_a_ratio_is_of_pairs_and_not_of_medians() -> None:
    # A machine that slows down: the ratio is 2 in every round.
    assert ratio([2.0, 20.0, 200.0], [1.0, 10.0, 100.0]) == Spread(2, 2, 2)
    assert ratio([1.0, 4.0, 9.0], [1.0, 1.0, 1.0]) == Spread(4, 2.5, 6.5)
    with pytest.raises(ValueError, match="longer"):
        ratio([1.0], [1.0, 2.0])


@given(b=st.floats(-2, 3), a=POSITIVE, sizes=st.sets(st.integers(1, 200), min_size=2))
def test_the_exponent_of_a_power_is_its_own(
    a: float, b: float, sizes: set[int]
) -> None:
    found = exponent(sorted(sizes), [a * size**b for size in sorted(sizes)])
    assert found == pytest.approx(b, abs=1e-9)


def test_an_exponent_is_the_least_squares_slope() -> None:
    sizes, values = [1, 2, 4, 8], [1.0, 3.0, 3.5, 20.0]
    slope, _ = np.polyfit(np.log(sizes), np.log(values), 1)
    assert exponent(sizes, values) == pytest.approx(slope)


@pytest.mark.parametrize(
    ("sizes", "values", "words"),
    [
        ([3], [1.0], r"got \[3\]"),
        ([3, 3], [1, 2], "two sizes"),
        ([1, 2], [1, 0], "positive"),
    ],
)
def test_an_exponent_needs_two_sizes_and_positive_values(
    sizes: list[float], values: list[float], words: str
) -> None:
    with pytest.raises(RunError, match=words):
        exponent(sizes, values)


def test_a_measurement_is_of_the_two_that_it_names() -> None:
    found = {"a": [2.0, 4.0], "b": [1.0, 1.0], "c": [7.0, 7.0]}
    one = measurement("x", "case", found, "a", to="b")
    assert (one.value, one.base) == (Spread(3, 2.5, 3.5), Spread(1, 1, 1))
    assert one.ratio == one.value and one.unit == "seconds"


def test_a_curve_is_relative_to_its_first_size_and_fits_each_round() -> None:
    rounds = [[1.0, 2.0, 4.0], [3.0, 12.0, 48.0]]  # exponents 1 and 2
    times = list(map(list, zip(*rounds, strict=True)))
    found = curve("growth", "act", "nodes", [1, 2, 4], times)
    assert found.exponent.median == pytest.approx(1.5)
    assert found.exponent.low == pytest.approx(1.25)
    assert [each.median for each in found.ratios] == [1, 3, 10]
    assert found.seconds[2] == spread([4.0, 48.0])
