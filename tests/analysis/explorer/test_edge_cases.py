"""Pages of the least and the oddest networks, and pages that are not whole."""

from pathlib import Path
from typing import Any

import pytest

from ddw_graph.analysis.explorer.explore import encoded
from ddw_graph.analysis.explorer.page import page as page_of
from tests.analysis.explorer.browser import complaints
from tests.analysis.explorer.pages import CLOSING, data_of, small_page, stage_of
from tests.analysis.explorer.shown import Shown
from tests.analysis.test_collect import some_model

pytestmark = pytest.mark.full

Browser = tuple[Any, Path]


def shown_page(browser: Browser, folder: Path, text: str) -> Shown:
    path = folder / "page.html"
    path.write_text(text)
    return Shown(browser[0], path, browser[1])


def walk(shown: Shown) -> None:
    """Goes through all views, thresholds and files; nothing may be complained of."""
    complaints(shown.browser)
    shown.open("#tau=0.2")
    shown.press("2", "3", "p", "4", "]", "1")
    shown.script("PICTURES.flat().forEach((picture) => picture.file('words'))")
    text = str(shown.script("return document.body.innerText + csv()"))
    assert complaints(shown.browser) == []
    for word in ("NaN", "undefined", "Infinity", "null"):
        assert word not in text


@pytest.mark.parametrize(
    "edges",
    [
        "dynamic:router_std=1,bias=0,gate=none",
        "dynamic:router_std=1,bias=0,gate=hard,threshold=0.5",
    ],
)
def test_every_gate_has_a_page(edges: str, browser: Browser, tmp_path: Path) -> None:
    network = some_model(edges)
    shown = shown_page(browser, tmp_path, small_page(network))
    walk(shown)
    shown.open()
    stages = [stage_of(s, 24)[1] for s in shown.data["networks"][0]["stages"]]
    closes = any((weights == 0).any() for weights in stages)
    assert closes == ("threshold" in edges)
    opened = shown.script("return SAMPLES.map((s) => NETWORKS[0].closed(s, 0).opened)")
    assert (min(opened) < sum(weights.shape[1] for weights in stages)) == closes


def test_learned_edges_set_no_image_apart(browser: Browser, tmp_path: Path) -> None:
    shown = shown_page(browser, tmp_path, small_page(some_model("learned")))
    walk(shown)
    shown.open("#sort=unusual&view=class")
    same = "weights are the same for all images of a class"
    assert shown.text("#unusual-note") == f"None: {same}."
    assert shown.each("#unusual button", "1") == []
    assert same in shown.text("#apart")
    assert "none: the same for all of a class" in shown.text("#facts")
    scale = shown.each(".matrix", "e.querySelector('.axis.start').textContent")
    assert scale == ["0"] * 3
    filled = shown.script("return PICTURES[0][0].cells.map((c) => c.style.fillOpacity)")
    assert set(filled) == {"0"}


def test_one_image_is_a_page(browser: Browser, tmp_path: Path) -> None:
    text = small_page(some_model(CLOSING), samples=1)
    shown = shown_page(browser, tmp_path, text)
    walk(shown)
    shown.open("#view=other")
    assert shown.text("#found") == "1"
    number = shown.data["numbers"][0]
    assert shown.text("#other figcaption") == f"vs #{number}"
    assert shown.text("#apart") == (
        "None: weights are the same for all images of a class."
    )
    assert "rank" not in shown.text("#facts")


@pytest.mark.parametrize("part", [0.2, 0.6, 0.98])
def test_a_page_that_was_cut_short_says_so(
    part: float, browser: Browser, tmp_path: Path
) -> None:
    text = small_page()
    path = tmp_path / "page.html"
    path.write_text(text[: int(part * len(text))])
    browser[0].get(path.as_uri())
    said = browser[0].find_elements("id", "loading")
    shown = "cut short" in said[0].text if said else False
    # Of the style alone nothing can be said yet; the page is blank then.
    assert shown == ('id="loading"' in text[: int(part * len(text))])
    assert not browser[0].find_elements("css selector", "#stages .stage")
    complaints(browser[0])


def tampered(page: Any, what: str) -> Any:
    stage = page["networks"][0]["stages"][1]
    _, weights = stage_of(stage, 24)
    changed = weights.copy()
    changed[3, 2] = float("nan")
    stage["weights"] = encoded(changed if what == "nan" else weights[:-1])
    return page


@pytest.mark.parametrize("what", ["nan", "short"])
def test_weights_that_are_not_whole_are_not_shown(
    what: str, browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(page_of(tampered(data_of(small_page()), what)))
    browser[0].get(path.as_uri())
    (said,) = browser[0].find_elements("id", "loading")
    assert "cut short" in said.text
    assert not browser[0].find_elements("css selector", "#stages .stage")
    (complaint,) = complaints(browser[0])
    assert "the page is not whole" in complaint
