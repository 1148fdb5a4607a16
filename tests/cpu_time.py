"""A pytest plugin: a test of the default tier that takes over two CPU-seconds fails.

CPU time is that of the process and of those it started and waited for; other work on
the machine changes it little, unlike the clock. It is the time of the test and of its
own fixtures. Imports are not counted, nor fixtures that tests share: which test comes
first is chance. Where the machine is slow, or busy now, a test has more time, by how
long ``probe`` takes there.
"""

import importlib
import os
import sys
import time
from collections.abc import Callable, Generator
from typing import Any

import pytest
import torch

LIMIT = 2.0
"""CPU-seconds that a test may take where ``probe`` takes ``PROBE_SECONDS``."""

DOCTEST_LIMIT = 6.0
"""The same for a docstring's example, which shows the real thing and has no marks."""

PROBE_SECONDS = 0.1

NOISE = 1.25
"""How far a test's CPU time is off from run to run."""


class CpuTime:
    """Adds up what each test takes, and fails those that take too much."""

    def __init__(self) -> None:
        """Counts imports from now on."""
        self.used = 0.0
        self.imports = Imports()

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self) -> Generator[None, None, None]:
        """Starts anew."""
        self.used = 0.0
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(
        self, fixturedef: pytest.FixtureDef[Any]
    ) -> Generator[None, object, object]:
        """Counts the fixtures that are of this test only."""
        return (yield from self.counted(fixturedef.scope == "function"))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self) -> Generator[None, object, object]:
        """Counts the test."""
        return (yield from self.counted())

    def pytest_unconfigure(self) -> None:
        """Counts imports no longer."""
        self.imports.stop()

    def counted(self, counts: bool = True) -> Generator[None, object, object]:
        """Adds the time until what is wrapped returns."""
        began = cpu_seconds() - self.imports.seconds
        try:
            return (yield)
        finally:
            if counts:
                self.used += cpu_seconds() - self.imports.seconds - began

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_teardown(
        self, item: pytest.Item
    ) -> Generator[None, object, object]:
        """Fails a test that took too much, and whose tier is not ``full``."""
        result = yield
        limit = DOCTEST_LIMIT if isinstance(item, pytest.DoctestItem) else LIMIT
        mark = item.get_closest_marker("cpu_seconds")
        if mark is not None:
            (limit,) = mark.args
            assert limit > LIMIT and mark.kwargs["reason"]
        # What measures coverage, or a debugger, takes its own time.
        judges = item.get_closest_marker("full") is None and sys.gettrace() is None
        if judges and self.used > limit:
            limit *= NOISE * max(1.0, *(probe() / PROBE_SECONDS for _ in range(3)))
            if self.used > limit:
                pytest.fail(
                    f"a test of the default tier must take at most {limit:.1f} "
                    f"CPU-seconds here, got {self.used:.1f}: make it smaller, or mark "
                    "it full, or cpu_seconds(LIMIT, reason=...)",
                    pytrace=False,
                )
        return result


class Imports:
    """Adds up the CPU-seconds in which modules are imported."""

    def __init__(self) -> None:
        """Takes the place of the function that the ``import`` statement calls."""
        self.seconds = 0.0
        self.depth = 0
        bootstrap: Any = importlib._bootstrap
        self.find_and_load: Callable[..., Any] = bootstrap._find_and_load
        bootstrap._find_and_load = self

    def stop(self) -> None:
        """Gives the function its place back."""
        bootstrap: Any = importlib._bootstrap
        bootstrap._find_and_load = self.find_and_load

    def __call__(self, *args: Any) -> Any:
        """Imports a module; one that it imports in turn is counted with it."""
        began = cpu_seconds()
        self.depth += 1
        try:
            return self.find_and_load(*args)
        finally:
            self.depth -= 1
            if not self.depth:
                self.seconds += cpu_seconds() - began


def cpu_seconds() -> float:
    """Returns what this process took so far, with those that it waited for."""
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def probe() -> float:
    """Returns the CPU-seconds of a fixed piece of work as tests do it."""
    layer = torch.nn.Conv2d(8, 8, 3, padding=1)
    image = torch.ones(8, 8, 16, 16)
    began = time.process_time()
    for _ in range(300):
        layer(image).sum().backward()
    return time.process_time() - began
