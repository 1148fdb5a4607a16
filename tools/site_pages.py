"""Pages of the site that are written elsewhere: README and its like, the public names.

MkDocs calls these functions while it builds. A link stays as it is written for the
repository; here it is turned to where the same file is on the site.
"""

import importlib
import inspect
import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

import ddw_graph

ROOT = Path(__file__).parents[1]
DOCS = "docs/"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages at the root of the repository, and their names on the site."""

FILES = {
    "LICENSE": "licence.txt",
    "ddw_graph/training/fashion_mnist/LICENSE": "fashion-mnist-licence.txt",
}
"""Files outside docs/ that pages link to, likewise."""

ROOMS = (
    *("wiring", "generators", "nn", "models", "training", "detection", "experiments"),
    *("sweeping", "deployment", "benchmarking", "analysis"),
)
"""The packages that the reference shows; commands have a page of their own."""

WITH_NAMES = ("wiring", "generators", "models")
"""Rooms whose public names are those of the package, wherever they are written."""

LINK = re.compile(r"(\]\()([^)#\s]+)")


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    """Adds the pages that are written elsewhere."""
    pages = {PAGES[name]: (ROOT / name).read_text() for name in PAGES}
    pages["api/index.md"] = names_page()
    pages |= {f"api/{room}.md": room_page(room) for room in ROOMS}
    for target, text in pages.items():
        files.append(File.generated(config, target, content=text))
    for name, target in FILES.items():
        source = str(ROOT / name)
        files.append(File.generated(config, target, abs_src_path=source))
    return files


def on_page_markdown(
    markdown: str, *, page: Page, config: MkDocsConfig, files: Files
) -> str:
    """Returns a page's text with links to where files are on the site."""
    return LINK.sub(lambda m: m[1] + site_link(m[2], page.file.src_uri), markdown)


def site_link(target: str, page: str) -> str:
    """Returns a link of a page as it is on the site.

    Args:
        target: The link as written, relative to where the page is in the repository.
        page: The page's name on the site.

    Example:
        >>> site_link("docs/data.md", "index.md"), site_link("../README.md", "data.md")
        ('data.md', 'index.md')
        >>> site_link("../images/arcs.svg", "results/table1.md")
        '../images/arcs.svg'
    """
    written = {site: name for name, site in PAGES.items()}
    folder = posixpath.dirname(written.get(page, DOCS + page))
    path = posixpath.normpath(posixpath.join(folder, target))
    moved = {**PAGES, **FILES}.get(path, path.removeprefix(DOCS))
    if moved == path:  # another site, or a file that the site does not have
        return target
    return posixpath.relpath(moved, posixpath.dirname(page) or ".")


def names_page() -> str:
    """Returns the page of the names that ``ddw_graph`` itself hands on."""
    lines = ["# The names of ddw_graph", "", "`from ddw_graph import ...`:", ""]
    for name in ddw_graph.__all__:
        said = summary(getattr(ddw_graph, name))
        lines.append(f"- [`{name}`][ddw_graph.{name}]: {said}")
    lines += ["", "The rooms, each of which knows only those before it:", ""]
    for room in ROOMS:
        said = summary(importlib.import_module(f"ddw_graph.{room}"))
        lines.append(f"- [`ddw_graph.{room}`]({room}.md): {said}")
    lines += ["", "What the [commands](../commands.md) do, they do through these."]
    return "\n".join(lines) + "\n"


def room_page(room: str) -> str:
    """Returns the page of a room, which its docstrings fill."""
    lines = [f"# ddw_graph.{room}", "", f"::: ddw_graph.{room}"]
    if room in WITH_NAMES:
        lines += ["    options:", "      show_submodules: false"]
    return "\n".join(lines) + "\n"


def summary(thing: object) -> str:
    """Returns the first sentence of a docstring."""
    text = inspect.getdoc(thing) or ""
    return " ".join(text.split("\n\n")[0].split())
