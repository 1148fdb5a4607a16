"""The page can be read: letters, contrast, names of controls, steps of history."""

import time
from typing import Any

import pytest

from tests.analysis.explorer.browser import complaints
from tests.analysis.explorer.shown import Shown

pytestmark = pytest.mark.full

LETTERS = (
    "const found = [];"
    "for (const svg of document.querySelectorAll(arguments[0])) {"
    "  const scale = svg.getScreenCTM().a;"
    "  const texts = [...svg.querySelectorAll('text:not([hidden])')];"
    "  found.push(texts.filter((e) => e.textContent).map((e) => {"
    "    const { left, right, top, bottom } = e.getBoundingClientRect();"
    "    const size = scale * parseFloat(e.getAttribute('font-size'));"
    "    return { size, words: e.textContent, left, right, top, bottom }; }));"
    "}"
    "return found"
)


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Returns whether two texts share more than a pixel both ways."""
    across = min(one["right"], other["right"]) - max(one["left"], other["left"])
    down = min(one["bottom"], other["bottom"]) - max(one["top"], other["top"])
    # Lines stand close: boxes of letters are higher than letters.
    return bool(across > 1 and down > 0.35 * (one["bottom"] - one["top"]))


@pytest.mark.parametrize("width", [400, 768, 1000, 1400])
@pytest.mark.parametrize("which", ["page", "both", "large"])
def test_letters_in_pictures_are_large_enough_and_apart(
    which: str, width: int, request: pytest.FixtureRequest
) -> None:
    shown: Shown = request.getfixturevalue(which)
    with shown.wide(width):
        shown.open("#view=other")
        time.sleep(0.2)
        for css in (".arcs", ".matrix"):
            for texts in shown.script(LETTERS, css):
                words = [text["words"] for text in texts]
                assert "in" in words and "out" in words
                assert min(text["size"] for text in texts) >= 9.5
                for place, one in enumerate(texts):
                    for other in texts[place + 1 :]:
                        assert not overlap(one, other), (one, other)
                    assert 0 <= one["left"] and one["right"] <= width


def luminance(colour: str) -> float:
    """Returns the relative luminance of ``rgb(...)``, by WCAG 2.2."""
    parts = colour[colour.index("(") + 1 : -1].split(",")
    assert len(parts) == 3, f"{colour} lets something through"
    shares = [int(part) / 255 for part in parts]
    linear = [
        s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Returns the ratio of contrast of two colours, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast_is_that_of_wcag_aa(theme: str, both: Shown) -> None:
    both.open(f"#theme={theme}&view=other&tau=0.3")
    found = both.script(
        "const behind = (e) => { for (; e; e = e.parentElement) {"
        "  const colour = getComputedStyle(e).backgroundColor;"
        "  if (colour !== 'rgba(0, 0, 0, 0)') return colour; } };"
        "const seen = (e) => e.checkVisibility() && !e.closest('svg, select, #tip');"
        "const own = (e) => [...e.childNodes].some((n) =>"
        "  n.nodeType === 3 && n.data.trim());"
        "const all = [...document.body.querySelectorAll('*')].filter(seen);"
        "const texts = all.filter((e) => own(e) && !e.matches('script'))"
        "  .map((e) => [getComputedStyle(e).color, behind(e), e.outerHTML]);"
        "const rims = all.filter((e) => e.matches('button, input[type=search], select,"
        " #views span') && e.checkVisibility() && !e.closest('#unusual'))"
        "  .map((e) => [getComputedStyle(e).borderTopColor, behind(e.parentElement),"
        "    e.outerHTML.slice(0, 90)]);"
        "const letters = [...document.querySelectorAll('svg text')].map((e) =>"
        "  [getComputedStyle(e).fill, behind(e.closest('.card')), e.outerHTML]);"
        "return [texts, letters, rims]"
    )
    texts, letters, rims = found
    assert min(map(len, found)) > 10
    for colour, paper, where in (*texts, *letters):
        assert contrast(colour, paper) >= 4.5, (colour, paper, where)
    for colour, paper, where in rims:
        assert contrast(colour, paper) >= 3, (colour, paper, where)
    paint = both.script(
        "const paint = {}; const probe = document.body.appendChild("
        "document.createElement('i'));"
        "for (const name of 'card weight path more less wrong focus'.split(' ')) {"
        "  probe.style.color = `var(--${name})`;"
        "  paint[name] = getComputedStyle(probe).color; }"
        "probe.remove(); return paint"
    )
    for name, colour in paint.items():
        assert name == "card" or contrast(colour, paint["card"]) >= 3, name


def test_everything_that_acts_has_a_name_and_a_role(both: Shown) -> None:
    both.open("#view=other&tau=0.2")
    both.browser.execute_cdp_cmd("Accessibility.enable", {})
    tree = both.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    acting = {"button", "option", "combobox", "slider", "searchbox", "radio", "listbox"}
    acting |= {"image", "table", "dialog", "link"}
    met = set()
    for node in tree:
        role = node.get("role", {}).get("value", "").lower()
        if node.get("ignored") or role not in acting:
            continue
        met.add(role)
        assert node.get("name", {}).get("value", "").strip(), node
    assert met >= acting - {"dialog"}


def test_back_and_forward_go_through_what_was_chosen(page: Shown) -> None:
    from selenium.webdriver.common.keys import Keys

    numbers = page.data["numbers"]
    page.open()
    length = page.script("return history.length")
    page.script("document.querySelectorAll('#grid > *')[3].click()")
    page.press("2")
    chosen = page.hash
    assert chosen == f"#image={numbers[3]}&view=class"
    assert page.script("return history.length") == length + 2
    # What is swept over is no step.
    page.press(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, "]", "]", "]")
    assert page.hash == f"#image={numbers[5]}&tau=0.03&view=class"
    assert page.script("return history.length") == length + 2
    page.browser.back()
    time.sleep(0.2)
    assert page.hash == f"#image={numbers[3]}"
    assert page.script("return [state.sample, state.view, state.tau]") == [
        3,
        "weights",
        0,
    ]
    assert page.each("#views input:checked", "e.value") == ["weights"]
    page.browser.forward()
    time.sleep(0.2)
    assert page.script("return [state.sample, state.view, state.tau]") == [
        5,
        "class",
        3,
    ]


HASHES = (
    "#%E0%A4%A",
    "#image=%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E&find=%3Cb%3Ex",
    "#image=__proto__&view=__proto__&sort=constructor&outcome=toString",
    "#tau=-1&tau=NaN&image=1e309&with=-0&class=1.5&theme=javascript:alert(1)",
    "#" + "image=" * 5000,
    "#class=999999999999&class=&with=&view=other",
)


@pytest.mark.parametrize("state", HASHES)
def test_a_wrong_or_hostile_address_is_as_good_as_none(state: str, page: Shown) -> None:
    complaints(page.browser)
    page.open(state)
    assert complaints(page.browser) == []
    assert page.script("return document.getElementById('loading')") is None
    assert page.script("return document.querySelectorAll('#detail img, b').length") == 0
    found = page.script("return state")
    assert found["sample"] in range(24) and found["tau"] == 0
    assert found["view"] in ("weights", "other") and found["theme"] == "auto"
    assert found["label"] is None
    assert page.each("#stages .stage", "1") == [1, 1, 1]
