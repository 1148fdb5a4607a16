"""The documentation is a site: it builds without a warning, and every link leads on."""

import doctest
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import module_from_spec, spec_from_file_location
from os.path import normpath
from pathlib import Path
from types import FunctionType, ModuleType
from urllib.parse import unquote, urlsplit

import pytest

import ddw_graph
from ddw_graph.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
OF_A_CLONE = pytest.mark.skipif(
    (ROOT / "PKG-INFO").exists(), reason="an unpacked sdist has no pages"
)
SOURCES = {"script": "src", "img": "src", "iframe": "src", "source": "src"}
"""Elements that a browser fetches by themselves, and where they say what."""

FETCHED = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch"}
"""Kinds of ``link`` that it fetches too."""


class Page(HTMLParser):
    """Keeps a page's anchors, its links, and what a browser fetches for it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        if "id" in found:
            self.anchors.add(found["id"])
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in SOURCES and SOURCES[tag] in found:
            self.fetched.append(found[SOURCES[tag]])
        if tag == "link" and FETCHED & set(found.get("rel", "").split()):
            self.fetched.append(found["href"])


def read(site: Path) -> dict[Path, Page]:
    """Returns the pages of a site."""
    files = site.rglob("*.html")
    return {path: Page(path.read_text()) for path in files}


def broken(pages: dict[Path, Page]) -> Iterator[str]:
    """Yields the links of pages that lead nowhere."""
    for path, page in pages.items():
        for link in (*page.links, *page.fetched):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = path
            if parts.path:
                target = Path(normpath(path.parent / unquote(parts.path)))
            anchor = unquote(parts.fragment)
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                yield f"{path.name}: {link}"
            elif anchor and target in pages and anchor not in pages[target].anchors:
                yield f"{path.name}: {link}"


def entry(thing: object) -> str:
    """Returns the anchor of a thing in the reference."""
    if isinstance(thing, ModuleType):
        return f"module-{thing.__name__}"
    assert isinstance(thing, (type, FunctionType))
    return f"{thing.__module__}.{thing.__qualname__}"


def site_pages() -> list[str]:
    """Returns the pages that the repository has, as the site names them."""
    docs = ROOT / "docs"
    pages = [path.relative_to(docs) for path in docs.rglob("*.md")]
    names = [page.with_suffix(".html").as_posix() for page in pages]
    return [*names, "index.html", "contributing.html", "changelog.html"]


def foreign(site: Path, pages: dict[Path, Page]) -> Iterator[str]:
    """Yields what a browser would ask other servers for."""
    for path, page in pages.items():
        for source in page.fetched:
            if urlsplit(source).scheme in ("http", "https") or source[:2] == "//":
                yield f"{path.name}: {source}"
    for style in site.rglob("*.css"):
        for source in re.findall(
            r"url\(\s*['\"]?((?:https?:)?//[^)]*)", style.read_text()
        ):
            yield f"{style.name}: {source}"


def builder() -> ModuleType:
    """Returns the script that builds the site, as a module."""
    spec = spec_from_file_location("build_site", ROOT / "tools" / "build_site.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_links_are_turned_and_code_is_left_alone() -> None:
    script = builder()
    failed, tried = doctest.testmod(script)
    assert failed == 0 and tried >= 2
    text = "[`a`](../README.md#b), `[c](../README.md)`\n```\n[d](../README.md)\n```\n"
    turned = script.site_text(text, "docs/data.md")
    assert turned == text.replace("../README.md#b", "index.md#b", 1)


@OF_A_CLONE
def test_every_page_is_in_the_navigation() -> None:
    listed = [page for pages in builder().SECTIONS.values() for page in pages]
    names = [page.removesuffix(".html") for page in site_pages()]
    assert sorted(listed) == sorted({*names, "commands", "api/index"} - {"index"})


@pytest.mark.full
@OF_A_CLONE
def test_the_site_builds_is_whole_and_asks_no_other_server(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "tools/build_site.py", str(site)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    pages = read(site)
    assert list(broken(pages)) == []
    assert list(foreign(site, pages)) == []
    anchors = set().union(*(page.anchors for page in pages.values()))
    public = {name: getattr(ddw_graph, name) for name in dir(ddw_graph)}
    assert [name for name in public if entry(public[name]) not in anchors] == []
    commands = pages[site / "commands.html"].anchors
    assert [name for name in COMMANDS if f"ddw-graph-{name}" not in commands] == []
    assert set(site_pages()) <= {path.relative_to(site).as_posix() for path in pages}
