"""The page in a real browser: what it counts, shows, reacts to and asks for."""

import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from ddw_graph.analysis.closing import closed_below
from tests.analysis.explorer.browser import complaints, requests
from tests.analysis.explorer.pages import (
    HOSTILE,
    SAMPLES,
    class_means,
    decoded,
    small_page,
    stage_of,
)
from tests.analysis.explorer.shown import Shown

pytestmark = pytest.mark.full


def check_counts(shown: Shown, sample: int, tau: float) -> None:
    for place, known in enumerate(shown.data["networks"]):
        expected = np.zeros((len(known["stages"]) + 1, 3), dtype=np.int64)
        for k, each in enumerate(known["stages"]):
            stage, weights = stage_of(each, SAMPLES)
            left = closed_below(stage, weights[[sample]], tau)
            total = int(stage.node_macs.sum() + stage.edge_macs.sum())
            expected[k] = (
                left.open.sum(),
                (~left.alive).sum(),
                total - left.macs[0],
            )
        expected[-1] = expected[:-1].sum(0)
        found = shown.counts(place)
        rows = [found["open"], found["dead"], found["saved"]]
        np.testing.assert_array_equal(np.array(rows).T, expected)


@pytest.mark.parametrize("tau", [0.0, 0.25, 0.31, 0.5])
@pytest.mark.parametrize("which", ["page", "both"])
def test_the_page_counts_what_numpy_does(
    which: str, tau: float, request: pytest.FixtureRequest
) -> None:
    shown: Shown = request.getfixturevalue(which)
    for sample in (0, 11, 23):
        shown.open(f"#image={shown.data['numbers'][sample]}&tau={tau}")
        check_counts(shown, sample, tau)


def test_thresholds_are_compared_to_the_last_bit(page: Shown) -> None:
    """A weight that is tau as float32 stays open, as in NumPy."""
    page.open()
    stage, _ = stage_of(page.data["networks"][0]["stages"][0], SAMPLES)
    for tau in (0.1, 0.3, 0.7):
        weights = np.full((1, len(stage.edges)), tau, np.float32)
        weights[0, ::2] = np.nextafter(np.float32(tau), np.float32(0))
        found = page.script(
            "const left = NETWORKS[0].stages[0].closedBelow("
            "Float32Array.from(arguments[0]), arguments[1]);"
            "return [[...left.open], [...left.alive], left.macs]",
            weights[0].astype(float).tolist(),
            tau,
        )
        left = closed_below(stage, weights, tau)
        assert found == [
            left.open[0].astype(int).tolist(),
            left.alive[0].astype(int).tolist(),
            left.macs[0],
        ]


def test_every_image_counts_in_the_mean_of_the_list(page: Shown) -> None:
    tau = 0.3
    page.open(f"#tau={tau}")
    opened, dead, saved, edges, full = 0.0, 0.0, 0.0, 0, 0
    (known,) = page.data["networks"]
    for each in known["stages"]:
        stage, weights = stage_of(each, SAMPLES)
        left = closed_below(stage, weights, tau)
        opened += left.open.sum(1).mean()
        dead += (~left.alive).sum(1).mean()
        total = int(stage.node_macs.sum() + stage.edge_macs.sum())
        saved += total - left.macs.mean()
        edges += len(stage.edges)
        full += total
    full += known["otherMacs"]
    time.sleep(0.5)
    assert page.text("#average") == (
        f"Mean of the 24 images in the list: {opened:.1f} of {edges} edges open, "
        f"{dead:.1f} nodes dead, {100 * saved / full:.1f} % of the MACs saved."
    )


def test_asks_for_nothing_and_complains_of_nothing(both: Shown) -> None:
    requests(both.browser), complaints(both.browser)
    both.open("#view=class&tau=0.2")
    both.press("2", "3", "p", "4", "]", "?")
    asked = [url for url in requests(both.browser) if url.startswith(("http", "file"))]
    assert asked == [both.path.as_uri() + "#view=class&tau=0.2"] or asked == [
        both.path.as_uri()
    ]
    assert complaints(both.browser) == []


def test_hostile_names_are_text_and_nothing_else(page: Shown) -> None:
    for label, name in enumerate(HOSTILE):
        page.open(f"#class={label}&view=class")
        assert page.text("#name").endswith(name)
        assert page.text(f"#class option[value='{label}']") == name
    assert page.script("return document.images.length") == 0
    assert page.script("return document.querySelectorAll('b, i').length") == 0
    assert page.script("return document.title") == "Wirings of <i>one</i>"
    assert complaints(page.browser) == []


def test_keys_reach_images_thresholds_views_and_help(page: Shown) -> None:
    from selenium.webdriver.common.keys import Keys

    numbers = page.data["numbers"]
    page.open()
    assert page.hash == ""
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert page.hash == f"#image={numbers[1]}"
    page.press("]", "]", "+", "[", "-", "]")
    assert page.hash == f"#image={numbers[1]}&tau=0.02"
    page.press("p", Keys.ARROW_RIGHT, "4")
    known = f"#image={numbers[2]}&tau=0.02&with={numbers[1]}"
    assert page.hash == f"{known}&view=other"
    page.press("1")
    assert page.hash == known
    page.press("?")
    assert page.script("return document.getElementById('keys').open")
    page.press(Keys.ARROW_RIGHT, Keys.ESCAPE)
    assert not page.script("return document.getElementById('keys').open")
    assert page.hash == known
    page.press("/")
    assert page.script("return document.activeElement.id") == "find"
    page.press(*f"#{numbers[5]}", "]")
    assert page.text("#found") == "0 of 24"
    page.press(Keys.BACKSPACE)
    assert page.text("#found") == "1 of 24"
    assert f"image={numbers[5]}&" in page.hash
    page.press(Keys.ESCAPE)
    assert page.script("return document.activeElement.id") != "find"


def test_tab_reaches_every_control_and_shows_where_it_is(page: Shown) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open()
    reached, hidden = [], []
    for _ in range(60):
        page.press(Keys.TAB)
        name, outline = page.script(
            "const at = document.activeElement;"
            "if (at === document.body) return ['body', true];"
            "const shown = at.matches('#views input') ? at.nextSibling : at;"
            "const style = getComputedStyle(shown);"
            "return [at.id || at.name || at.getAttribute('class') || at.textContent,"
            "style.outlineStyle !== 'none' ||"
            "  (at.matches('.cell') && style.strokeWidth === '2.5px')]"
        )
        if name in reached and name in ("theme", "skip"):
            break
        reached.append(name)
        if not outline:
            hidden.append(name)
    wanted = {"theme", "help", "find", "class", "outcome", "sort", "grid", "view"}
    wanted |= {"pin", "csv", "tau", "quiet"}
    assert wanted <= set(reached)
    assert sum(name.startswith("cell ") for name in reached) == 3
    assert not hidden


def test_arrows_walk_a_matrix_and_light_up_its_arcs(page: Shown) -> None:
    from selenium.webdriver.common.keys import Keys

    page.open(f"#image={page.data['numbers'][4]}")
    page.script("document.querySelector('.cell').focus()")
    page.press(Keys.ARROW_DOWN, Keys.ARROW_DOWN, Keys.ARROW_RIGHT)
    edge = page.script("return Number(document.activeElement.dataset.edge)")
    known = page.data["networks"][0]["stages"][0]
    assert known["edges"][edge] == [1, 3]
    lit = page.script(
        "return PICTURES[0][0].paths.map((p) => p.classList.contains('lit'))"
    )
    assert [place for place, on in enumerate(lit) if on] == [edge]
    assert page.hash == f"#image={page.data['numbers'][4]}"
    _, weights = stage_of(known, SAMPLES)
    labels = np.array(page.data["labels"])
    label = labels[4]
    means = class_means(weights, labels, 3)
    tip = page.each("#tip div", "e.lastChild.textContent")
    assert page.text("#tip strong") == "Stage 1: 1 → 3"
    assert tip[:3] == [
        f"{value:.3f}"
        for value in (
            float(weights[4, edge]),
            means[label, edge],
            weights[:, edge].astype(float).mean(),
        )
    ]
    words = page.script("return document.activeElement.getAttribute('aria-label')")
    assert words.startswith(f"1 → 3: weight {weights[4, edge]:.3f}, mean of ")


def test_differences_are_from_what_the_view_says(page: Shown) -> None:
    numbers, labels = page.data["numbers"], np.array(page.data["labels"])
    _, weights = stage_of(page.data["networks"][0]["stages"][1], SAMPLES)
    exact = weights.astype(np.float64)
    means = class_means(weights, labels, 3)
    for view, base in (
        ("class", means[labels[7]]),
        ("all", exact.mean(0)),
        ("other", exact[2]),
        ("weights", 0),
    ):
        page.open(f"#image={numbers[7]}&with={numbers[2]}&view={view}")
        found = page.script("return PICTURES[0][1].values")
        np.testing.assert_allclose(found, exact[7] - base, atol=1e-12)


def test_the_address_brings_everything_back(page: Shown) -> None:
    numbers = page.data["numbers"]
    whole = (
        f"#image={numbers[9]}&tau=0.35&with={numbers[3]}&class=0&view=other"
        "&outcome=any&sort=unusual&find=x&theme=dark"
    ).replace("&outcome=any", "")
    page.open(whole)
    before = page.script("return JSON.stringify(state)")
    page.press("]", "[")
    known = page.hash
    assert sorted(known[1:].split("&")) == sorted(whole[1:].split("&"))
    page.open("#image=0")
    assert page.script("return JSON.stringify(state)") != before
    page.open(known)
    assert page.script("return JSON.stringify(state)") == before
    assert page.script("return getComputedStyle(document.body).colorScheme") == "dark"
    page.script("location.hash = arguments[0]", f"#image={numbers[1]}")
    time.sleep(0.1)
    assert page.script("return state.sample") == 1
    page.open("#image=99999&tau=abc&view=constructor&class=-1&sort=__proto__&with=x")
    expected = page.script("return JSON.stringify({ ...DEFAULTS, sample: 0 })")
    assert page.script("return JSON.stringify(state)") == expected
    page.open("#view=other")
    assert page.script("return [state.sample, state.other]") == [0, 1]
    page.open("#tau=1e9")
    assert page.script("return [state.tau, Number($('tau').max)]") == [100, 100]
    assert complaints(page.browser) == []


def test_filters_and_orders_are_numpys(page: Shown) -> None:
    (known,) = page.data["networks"]
    labels, numbers = np.array(page.data["labels"]), page.data["numbers"]
    right = labels == np.array(known["predictions"])

    def listed() -> list[int]:
        return page.each("#grid > *", "DATA.numbers[e.dataset.sample]")

    for sort, key in (
        ("number", np.arange(SAMPLES)),
        ("loss", -decoded(known["losses"])),
        ("unusual", -decoded(known["unusualness"])),
    ):
        page.open(f"#sort={sort}")
        assert listed() == [numbers[i] for i in np.argsort(key, kind="stable")]
    page.open("#sort=fewest")
    macs = page.script("return shown.map((sample) => NETWORKS[0].expectedMacs[sample])")
    assert macs == sorted(macs) and len(set(macs)) > 1
    page.open("#class=1&outcome=wrong")
    assert listed() == [numbers[i] for i in np.nonzero((labels == 1) & ~right)[0]]
    page.open("#outcome=right")
    assert listed() == [numbers[i] for i in np.nonzero(right)[0]]
    strange = np.argsort(-decoded(known["unusualness"]), kind="stable")[:12]
    found = page.each("#unusual button", "Number(e.dataset.sample)")
    assert found == strange.tolist()


def test_csv_has_the_edges_of_the_image_to_the_last_bit(both: Shown) -> None:
    sample, tau = 13, 0.3
    number = both.data["numbers"][sample]
    both.open(f"#image={number}&tau={tau}")
    both.script("document.getElementById('csv').click()")
    path = both.downloaded(f"image-{number}.csv")
    found = pd.read_csv(path)
    labels = np.array(both.data["labels"])
    tables = []
    for known in both.data["networks"]:
        for k, each in enumerate(known["stages"]):
            stage, weights = stage_of(each, SAMPLES)
            columns = {
                "network": known["name"],
                "stage": k + 1,
                "source": stage.edges[:, 0],
                "target": stage.edges[:, 1],
                "constant": stage.constant,
                "open": closed_below(stage, weights[[sample]], tau).open[0].astype(int),
                "weight": weights[sample],
                "class_mean": class_means(weights, labels, 3)[labels[sample]],
                "mean": weights.astype(float).mean(0),
            }
            tables.append(pd.DataFrame(columns))
    expected = pd.concat(tables, ignore_index=True)
    exact = ["network", "stage", "source", "target", "constant", "open"]
    pd.testing.assert_frame_equal(found[exact], expected[exact])
    assert (found["weight"].astype(np.float32) == expected["weight"]).all()
    means = ["class_mean", "mean"]
    np.testing.assert_allclose(found[means], expected[means], atol=1e-12)
    assert set(found["constant"]) == {True, False}


def test_svg_of_a_stage_is_a_picture_without_a_style_sheet(page: Shown) -> None:
    number = page.data["numbers"][6]
    page.open(f"#image={number}&view=class&tau=0.3")
    page.script("document.querySelectorAll('.stage button')[1].click()")
    path = page.downloaded(f"image-{number}-stage-2.svg")
    tree = ElementTree.parse(path).getroot()
    space = "{http://www.w3.org/2000/svg}"
    (edges,) = {len(s["edges"]) for s in page.data["networks"][0]["stages"]}
    paths = tree.findall(f".//{space}path")
    assert len(paths) == edges
    for path_ in paths:
        assert path_.get("stroke", "").startswith("rgb") and path_.get("fill") == "none"
    assert HOSTILE[page.data["labels"][6]] in (tree.find(f"{space}text").text or "")  # type: ignore[union-attr]
    text = path.read_text()
    assert "class=" not in text and "var(" not in text and "NaN" not in text


@pytest.mark.parametrize("width", [320, 400, 860, 1400])
@pytest.mark.parametrize("which", ["page", "both"])
def test_no_width_needs_scrolling_sideways(
    which: str, width: int, request: pytest.FixtureRequest
) -> None:
    shown: Shown = request.getfixturevalue(which)
    with shown.wide(width):
        shown.open("#view=other")
        root = "document.documentElement"
        pixels = shown.script(f"return {root}.scrollWidth - {root}.clientWidth")
        over = shown.each(".card, #counts", "e.scrollWidth - e.clientWidth")
    assert pixels == 0
    assert max(over) <= 1


def test_a_long_list_grows_as_it_is_scrolled(
    browser: tuple[Any, Path], tmp_path: Path
) -> None:
    from selenium.webdriver.common.keys import Keys

    path = tmp_path / "page.html"
    path.write_text(small_page(samples=900, test=900))
    shown = Shown(browser[0], path, browser[1])
    shown.open()
    assert len(shown.each("#grid > *", "1")) == 400
    shown.script("document.querySelector('#grid').scrollTop = 1e6")
    time.sleep(0.3)
    assert len(shown.each("#grid > *", "1")) == 800
    shown.script("document.querySelector('#grid').focus()")
    shown.press(Keys.END, Keys.ARROW_LEFT)
    last = shown.data["numbers"][-2]
    assert shown.hash == f"#image={last}"
    (place,) = shown.each("#grid .selected", "[...e.parentNode.children].indexOf(e)")
    assert place == 898
    assert shown.each("#grid [aria-selected=true]", "e.ariaPosInSet") == ["899"]
    shown.press("/", "q", "q", Keys.BACKSPACE, Keys.BACKSPACE)
    assert len(shown.each("#grid > *", "1")) == 900
    assert shown.hash == f"#image={last}"
