"""Options that several commands share, and what they mean together."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ddw_graph.printable import printable

if TYPE_CHECKING:
    import networkx as nx

DEFAULT_N = 32
"""RandWire's number of nodes that compute."""

PATH = click.Path(path_type=Path)
RUN_ARGUMENT = click.argument("run", type=PATH)
RUNS_ARGUMENT = click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=PATH,
)
N_OPTION = click.option(
    "--n",
    type=int,
    help=f"Computing nodes; {DEFAULT_N} unless the wiring itself says.",
)
SEED_OPTION = click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Fixes a random wiring; a network's stages each draw their own from it.",
)
OVERWRITE_OPTION = click.option(
    "--overwrite", is_flag=True, help="Replace files that are there with other content."
)
RUN_OPTION = click.option(
    "--run",
    type=PATH,
    help="The run that a saved network belongs to: its classes and images.  "
    "[default: the one in whose folder it lies]",
)
JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON to stdout."
)


class WiringText(click.ParamType):  # type: ignore[type-arg]
    """A text that names a wiring, a dotted name of your own function included.

    Its module is imported here: the command line is the only place where a text may
    name one.
    """

    name = "wiring"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        """Returns the text."""
        name = value.partition(":")[0].strip()
        if "." in name and not is_path(value):
            from ddw_graph.generators.registry import import_generator

            import_generator(name)
        return str(value)


WIRING = WiringText()


def wiring(text: str, *, n: int | None, seed: int) -> "nx.DiGraph":
    """Returns the wiring that a command's argument names, with 32 nodes by default.

    The argument is a text for ``from_text``, or a path.

    Raises:
        WiringError: If it is neither, or the wiring breaks a rule.
    """
    from ddw_graph.generators.texts import from_text, has_n

    if is_path(text):
        text = f"file:{text}"
    if n is None and not has_n(text):
        n = DEFAULT_N
    return from_text(text, n=n, seed=seed)


def is_path(text: str) -> bool:
    """Returns whether a text is a path by itself: it ends in .json or has a folder.

    Example:
        >>> is_path("a/b"), is_path("b.json"), is_path("b.c"), is_path("file:b.json")
        (True, True, False, False)
    """
    has_folder = "/" in text or os.sep in text
    return not text.startswith("file:") and (text.endswith(".json") or has_folder)


def refuse_options(context: click.Context, beside: str, names: set[str]) -> None:
    """Checks that options without a meaning beside something are not given.

    Raises:
        UsageError: If one is.
    """
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and given is ParameterSource.COMMANDLINE:
            raise click.UsageError(
                f"{parameter.opts[0]} cannot be combined with {beside}"
            )


def print_file(path: Path, *, written: bool) -> None:
    """Prints that a file was written, or is there with the same content."""
    word = "wrote" if written else "unchanged:"
    click.echo(printable(f"{word} {path}"), err=True)


def names_of(runs: Sequence[Path]) -> list[str]:
    """Returns what runs are called: by their folders, or by paths where these agree."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
