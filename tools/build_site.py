"""Builds the documentation as a site, and fails at the first link that leads nowhere.

    python tools/build_site.py [FOLDER]        by default build/site

Pages are those of docs/, the three at the root of the repository, one for each package
of the reference, filled by its docstrings, and the commands' help. They are laid into a
folder of their own with every link turned to where its target is there, and given to
Sphinx: nothing is written twice, and what is written reads well in the repository too.
"""

import importlib
import pkgutil
import posixpath
import re
import shutil
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from sphinx.cmd.build import main as sphinx

import ddw_graph

ROOT = Path(__file__).resolve().parents[1]
DOCS = "docs/"
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "licence.txt",
    "ddw_graph/training/fashion_mnist/LICENSE": "fashion-mnist-licence.txt",
    "ddw_graph/training/king_james/NOTICE": "king-james-notice.txt",
}
"""Files outside docs/ that the site has, and their names there."""

SECTIONS = {
    "Start": ("start", "concepts", "paper"),
    "How to": (
        *("own-generator", "own-operation", "own-edges", "data", "backbones"),
        *("transformers", "training", "recipes", "distributed", "sweeps", "ablations"),
        *(
            "analysis",
            "explore",
            "learning-from-wirings",
            "detection",
            "other-libraries",
            "deploy",
        ),
    ),
    "Results": (
        *("results/table1", "results/fashion-mnist", "results/dynamic-wiring"),
        *("results/edge-map", "results/quick-comparison", "results/rewiring"),
        "results/rewired-networks",
        "performance",
    ),
    "Reference": ("commands", "api/index"),
    "Project": ("contributing", "changelog"),
}
"""The pages in the order of the site's navigation."""

ROOMS = (
    *("wiring", "generators", "nn", "models", "training", "detection", "experiments"),
    *("deployment", "analysis", "benchmarks"),
)
"""The packages of the reference; commands have a page of their own."""

FOLDERS = ("generators/", "analysis/", "cli/")
"""Packages next to ddw_graph/ in the repository."""

CODE = r"^```.*?^```$|`[^`\n]*`"
LINK = r"\]\((?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)"


def site_link(target: str, anchor: str, page: str) -> str:
    """Returns a link of a page as it is on the site.

    A module of the packages, and a name in it, become the entry in the reference.

    Args:
        target: The link as written, relative to the page.
        anchor: What stands behind it, with its ``#``.
        page: The page in the repository.

    Example:
        >>> site_link("docs/data.md", "#shards", "README.md")
        'data.md#shards'
        >>> site_link("../ddw_graph/nn/gates.py", "#psi", "docs/paper.md")
        '#ddw_graph.nn.gates.psi'
    """
    if "://" in target:
        return target + anchor
    path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
    if path.endswith(".py") and path.startswith(("ddw_graph/", *FOLDERS)):
        module = path.removesuffix(".py").replace("/", ".")
        if not module.startswith("ddw_graph."):
            module = f"ddw_graph.{module}"
        return f"#{module}{anchor.replace('#', '.')}"
    moved = MOVED.get(path, path.removeprefix(DOCS))
    here = posixpath.dirname(MOVED.get(page, page.removeprefix(DOCS)))
    return posixpath.relpath(moved, here or ".") + anchor


def site_text(text: str, page: str) -> str:
    """Returns a page's text with links to where files are on the site.

    What stands in code is left alone.
    """

    def turned(found: re.Match[str]) -> str:
        if not found["target"]:
            return found[0]
        return f"]({site_link(found['target'], found['anchor'] or '', page)})"

    return re.sub(f"(?ms){CODE}|{LINK}", turned, text)


def lay_out(folder: Path) -> None:
    """Writes what Sphinx reads: pages, pictures and data, and its configuration."""
    shutil.copytree(ROOT / DOCS, folder, dirs_exist_ok=True)
    for page in folder.rglob("*.md"):
        name = DOCS + page.relative_to(folder).as_posix()
        page.write_text(site_text(page.read_text(), name))
    for name, moved in MOVED.items():
        text = (ROOT / name).read_text()
        (folder / moved).write_text(
            site_text(text, name) if name[-3:] == ".md" else text
        )
    with (folder / "index.md").open("a") as start:
        start.write(navigation())
    (folder / "api").mkdir()
    (folder / "api" / "index.rst").write_text(names_page())
    for room in ROOMS:
        (folder / "api" / f"{room}.rst").write_text(room_page(room))
    (folder / "commands.rst").write_text(commands_page())
    shutil.copy(ROOT / "tools" / "site" / "conf.py", folder)


def navigation() -> str:
    """Returns the lists of pages that the site shows next to each."""
    lists = []
    for caption, pages in SECTIONS.items():
        head = ("", "```{toctree}", ":hidden:", f":caption: {caption}", "")
        lists.append("\n".join((*head, *pages, "```", "")))
    return "".join(lists)


def names_page() -> str:
    """Returns the page of the names that ``ddw_graph`` itself hands on."""
    lines = [*title("Python"), "``from ddw_graph import ...``:", ""]
    for name in ddw_graph.__all__:
        thing = getattr(ddw_graph, name)
        entry = thing.__name__
        if not isinstance(thing, ModuleType):
            entry = f"{thing.__module__}.{thing.__qualname__}"
        lines.append(f"- :py:obj:`{name} <{entry}>`: {summary(thing)}")
    lines += ["", "The packages, each of which knows only those before it:", ""]
    for room in ROOMS:
        words = summary(importlib.import_module(f"ddw_graph.{room}"))
        lines.append(f"- :doc:`ddw_graph.{room} <{room}>`: {words}")
    lines += ["", ".. toctree::", "   :hidden:", "", *(f"   {room}" for room in ROOMS)]
    return "\n".join(lines) + "\n"


def room_page(room: str) -> str:
    """Returns the page of a package, which the docstrings of its modules fill."""
    package = importlib.import_module(f"ddw_graph.{room}")
    lines = [*title(package.__name__), f".. automodule:: {package.__name__}"]
    lines += ["   :no-members:", ""]
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        lines += [*title(module.name, "-"), f".. automodule:: {module.name}", ""]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Returns the page of the commands, which their help fills."""
    directive = [".. click:: ddw_graph.cli.main:main", "   :prog: ddw-graph"]
    return "\n".join([*title("Commands"), *directive, "   :nested: full"]) + "\n"


def title(text: str, under: str = "=") -> list[str]:
    """Returns the lines of a heading in reStructuredText."""
    return [text, under * len(text), ""]


def summary(thing: object) -> str:
    """Returns the first paragraph of a docstring in one line."""
    return " ".join((thing.__doc__ or "").split("\n\n")[0].split())


def build(out: Path) -> int:
    """Builds the site; returns 0 where there was nothing to complain of."""
    with tempfile.TemporaryDirectory() as folder:
        pages, read = f"{folder}/pages", f"{folder}/read"
        lay_out(Path(pages))
        # Each warning is an error; a link or a reference that leads nowhere is one.
        return sphinx(["-q", "-W", "--keep-going", "-d", read, pages, str(out)])


if __name__ == "__main__":
    sys.exit(build(Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build" / "site"))
