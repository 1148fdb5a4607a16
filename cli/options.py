"""Options that several commands share, and what they mean together."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from click.core import ParameterSource

if TYPE_CHECKING:
    import networkx as nx

Command = TypeVar("Command", bound=Callable[..., Any])

DEFAULT_N = 32
"""RandWire's number of nodes that compute."""

RUNS_ARGUMENT = click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
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
    type=click.Path(path_type=Path),
    help="The run that a saved network belongs to: its classes and images.  "
    "[default: the one in whose folder it lies]",
)
JSON_OPTION = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON to stdout."
)


def generator_options(command: Command) -> Command:
    """Returns ``command`` with the options that name a generator and its arguments."""
    for option in reversed(
        (
            click.option(
                "--generator",
                required=True,
                metavar="NAME",
                help="complete, er, ba, ws, vgg, resnet, densenet, residual, dilated "
                "or streams; a text such as ws:k=4,p=0.75; or file:PATH.",
            ),
            N_OPTION,
            click.option("--k", type=int, help="Ring neighbours of a node (ws)."),
            click.option("--p", type=float, help="Probability (er, ws)."),
            click.option("--m", type=int, help="Edges that a new node brings (ba)."),
            click.option(
                "--dilation", type=int, help="Distance between inputs (dilated)."
            ),
            click.option(
                "--period",
                type=int,
                help="Nodes from one with more than one input to the next (dilated).",
            ),
            click.option(
                "--width", type=int, help="Number of residual streams (streams)."
            ),
            SEED_OPTION,
        )
    ):
        command = option(command)
    return command


def wiring_text(generator: str, **given: int | float | None) -> str:
    """Returns ``--generator`` with its arguments as one text, e.g. ``ws:k=4,p=0.75``.

    Raises:
        WiringError: If the generator is unknown, or an argument is missing, not taken,
            or given twice.
    """
    from ddw_graph.errors import WiringError
    from ddw_graph.generators.registry import generator_call, written

    options = {key: value for key, value in given.items() if value is not None}
    if generator.startswith("file:"):
        if options:
            named = ", ".join(f"--{key}" for key in options)
            raise WiringError(f"a file has its arguments already, got {named}")
        return generator
    name, arguments, n = written(generator)
    twice = [key for key in options if key in arguments]
    if twice:
        raise WiringError(f"{twice[0]} is given twice, in {generator!r} and beside it")
    return str(generator_call(name, {**arguments, **options}, n=n))


def wiring(text: str, *, n: int | None, seed: int) -> "nx.DiGraph":
    """Returns the wiring that a command's argument names, with 32 nodes if none says.

    The argument is a text for ``from_text``, or a path alone.

    Raises:
        WiringError: If it is neither, or the wiring breaks a rule.
    """
    from ddw_graph.generators.registry import GENERATORS, from_text, parse

    name = text.partition(":")[0]
    if name != "file" and name not in GENERATORS and _is_path(text):
        text = f"file:{text}"
    if n is None and not text.startswith("file:") and parse(text).n is None:
        n = DEFAULT_N
    return from_text(text, n=n, seed=seed)


def _is_path(text: str) -> bool:
    return text.endswith(".json") or Path(text).exists()


def refuse_options(context: click.Context, beside: str, names: set[str]) -> None:
    """Checks that options without a meaning beside something are not given.

    Raises:
        UsageError: If one is.
    """
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and given is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} cannot be had with {beside}")


def names_of(runs: Sequence[Path]) -> list[str]:
    """Returns what runs are called: by their folders, or by paths where these agree."""
    names = [run.resolve().name for run in runs]
    return names if len(set(names)) == len(names) else [str(run) for run in runs]
