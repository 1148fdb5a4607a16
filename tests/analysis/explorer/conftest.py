"""A browser, and pages in it."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.explorer.browser import chromium
from tests.analysis.explorer.pages import CLOSING, small_page
from tests.analysis.explorer.shown import Shown
from tests.analysis.test_collect import some_model


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    downloads = tmp_path_factory.mktemp("downloads")
    profile = tmp_path_factory.mktemp("profile")
    # selenium leaves the pipes of the driver's process to the garbage collector.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        with chromium(profile, downloads) as driver:
            yield driver, downloads


@pytest.fixture(scope="module")
def page(browser: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Shown:
    path = tmp_path_factory.mktemp("page") / "page.html"
    path.write_text(small_page())
    return Shown(browser[0], path, browser[1])


@pytest.fixture(scope="module")
def both(browser: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A page of two networks, of which the second has constant edges."""
    path = tmp_path_factory.mktemp("both") / "page.html"
    second = some_model("dynamic:router_std=1,bias=0", wiring="er:p=0.5")
    path.write_text(small_page(some_model(CLOSING), second))
    return Shown(browser[0], path, browser[1])


@pytest.fixture(scope="module")
def large(browser: tuple[Any, Path], tmp_path_factory: pytest.TempPathFactory) -> Shown:
    """A page of two networks of 34 nodes a stage."""
    path = tmp_path_factory.mktemp("large") / "page.html"
    networks = some_model(CLOSING, n=32), some_model("dynamic:router_std=1", n=32)
    path.write_text(small_page(*networks, samples=6))
    return Shown(browser[0], path, browser[1])
