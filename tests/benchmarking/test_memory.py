"""The peak of a fresh process is its own."""

import os

import numpy as np
import pytest

from ddw_graph.benchmarking.memory import in_fresh_process, peak_memory
from ddw_graph.errors import RunError

MB = 1_000_000

pytestmark = pytest.mark.full


def raised_by(size: int) -> tuple[int, int]:
    """Returns the peak before and after so many bytes were held, and let go."""
    before = peak_memory()
    np.ones(size // 8)
    return before, peak_memory()


def test_the_peak_holds_what_was_let_go() -> None:
    before, after = in_fresh_process(raised_by, 200 * MB)
    assert 190 * MB < after - before < 250 * MB


def test_a_fresh_process_does_not_begin_with_the_peak_of_its_parent() -> None:
    raised_by(600 * MB)
    assert peak_memory() > 600 * MB
    before, after = in_fresh_process(raised_by, 100 * MB)
    assert before < 500 * MB
    assert 90 * MB < after - before < 150 * MB


def test_what_a_process_raises_arrives() -> None:
    with pytest.raises(ZeroDivisionError):
        in_fresh_process(divmod, 1, 0)


def test_a_process_that_was_ended_is_told_of() -> None:
    with pytest.raises(RunError, match="ended from outside"):
        in_fresh_process(os._exit, 1)
