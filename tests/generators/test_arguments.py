"""What counts as an integer and as a probability."""

import numpy as np
import pytest

from ddw_graph.generators.arguments import integer, probability
from ddw_graph.wiring import WiringError


@pytest.mark.parametrize("value", [3, np.int64(3), np.uint8(3)])
def test_whatever_is_an_index_is_an_integer(value: object) -> None:
    found = integer("k", value, least=1)
    assert found == 3 and type(found) is int


@pytest.mark.parametrize("value", [True, np.True_, 3.0, "3", None, 3j, [3]])
def test_nothing_else_is(value: object) -> None:
    with pytest.raises(WiringError, match="k must be an integer, got k="):
        integer("k", value, least=1)


@pytest.mark.parametrize("value", [0, 1, 0.5, np.float32(0.5)])
def test_a_probability_is_a_float(value: object) -> None:
    assert type(probability(value)) is float


@pytest.mark.parametrize("value", [True, "0.5", None, -1, 2, float("inf"), 0.5j])
def test_nothing_else_is_a_probability(value: object) -> None:
    with pytest.raises(WiringError, match=r"p must be a number in \[0, 1\], got p="):
        probability(value)
