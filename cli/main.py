"""The command ``ddw-graph``: its commands by name, and how it fails."""

import importlib
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click

from ddw_graph import __version__
from ddw_graph.errors import (
    ShareWarning,
    UnfinishedWarning,
    UserError,
    first_sentence,
)
from ddw_graph.printable import printable

COMMANDS = {
    "build": "Build a wiring, describe it, and write it.",
    "draw": "Draw a wiring, as a picture or as text.",
    "diff": "Compare the edges of two wirings.",
    "models": "List the networks with what they cost for each kind of edges.",
    "train": "Train a network; keep its configuration, log and result.",
    "compare": "Train wirings and edges at an equal budget, and compare them.",
    "sweep": "Train many settings: a grid or a search, here or on Slurm.",
    "ablate": "Run one of the paper's ablations, or the map of kinds of edges.",
    "status": "Show the status of the runs in an experiment's FOLDER.",
    "report": "Write the report of an experiment's FOLDER again.",
    "instances": "Test whether trained RUNs need each image's own wiring.",
    "eval": "Evaluate trained RUNs on images or a text, their own or others.",
    "analyze": "Collect each edge's weight for each sample of a trained RUN.",
    "statistics": "Print tables of the wirings of an analyzed RUN.",
    "observations": "Test the paper's observations (section 4.5) on finished RUNs.",
    "prune": "Take out of a trained RUN's network what never opens.",
    "predict": "Name the classes of images, and how each was wired.",
    "generate": "Continue a text with the language model of a trained RUN.",
    "export": "Write a network to an ONNX or torch.export file.",
    "plot": "Draw curves of RUNs, or edge weights of analyzed RUNs.",
    "learn": "Predict an image's class from its wiring only.",
    "detect": "Train detectors on wired backbones, and use them.",
    "explore": "Write a page of the paths that images take in a RUN.",
    "bench": "Measure time and memory, each relative to something known.",
}
"""Each command's line in the help; its module in this folder has the same name."""


class Commands(click.Group):
    """A group whose commands are imported when they are called for.

    The help of the group comes from a table: torch, NetworkX and matplotlib take
    seconds to import, and nobody who asks for help should wait for them. For the same
    reason a command's module imports them inside its function.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Returns the names, in the order of a day's work."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Returns a command by its name, imported now."""
        if name not in COMMANDS:
            return None
        command = getattr(importlib.import_module(f"ddw_graph.cli.{name}"), name)
        assert isinstance(command, click.Command), name
        return command

    def format_commands(
        self, ctx: click.Context, formatter: click.HelpFormatter
    ) -> None:
        """Writes the table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Runs a command and exits: 0 for done, 2 for misuse, 130 for Ctrl-C.

        What the user or the system got wrong is one line on stderr, and so is that a
        run has not finished. Anything else is our own mistake and keeps its traceback.
        """
        if not standalone_mode:
            return super().main(
                args, prog_name, complete_var, standalone_mode=False, **extra
            )
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _in_lines(warnings.showwarning)
                code = super().main(
                    args, "ddw-graph", complete_var, standalone_mode=False, **extra
                )
            # Where a reader has gone, learn it here and not while Python shuts down.
            if sys.stdout is not None:
                sys.stdout.flush()
        except (click.Abort, KeyboardInterrupt):
            _fail("interrupted", 130)
        except click.ClickException as error:
            command = getattr(error, "ctx", None)
            hint = f" (see {command.command_path} --help)" if command else ""
            _fail(f"{error.format_message()}{hint}", 2)
        except BrokenPipeError:
            # Nobody reads on, so what is left goes nowhere; 1 is click's code for it.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except OSError as error:
            _fail(_system_message(error), 2)
        except UserError as error:
            _fail(str(error), 2)
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            _fail(
                "memory must hold a batch with its features, and ran out: take a "
                "smaller --batch-size, or train with --set accumulate=2 "
                f"({first_sentence(error)})",
                2,
            )
        sys.exit(code if isinstance(code, int) else 0)


def _is_out_of_memory(error: Exception) -> bool:
    # torch's own class for GPUs, by name: torch may not be imported. On the CPU it
    # raises a plain RuntimeError.
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or "can't allocate memory" in str(error)
    )


def _fail(message: str, code: int) -> NoReturn:
    _print(message)
    sys.exit(code)


def _print(message: str) -> None:
    click.echo(f"ddw-graph: {printable(' '.join(message.split()))}", err=True)


def _in_lines(show: Callable[..., None]) -> Callable[..., None]:
    """Returns a function that shows our own warnings in a line, others by ``show``."""

    def show_line(message: Warning | str, *rest: Any, **more: Any) -> None:
        if isinstance(message, UnfinishedWarning | ShareWarning):
            _print(str(message))
        else:
            show(message, *rest, **more)

    return show_line


def _system_message(error: OSError) -> str:
    if error.strerror is None or error.filename is None:
        return str(error.strerror or error or type(error).__name__)
    return f"{error.filename}: {error.strerror}"


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="ddw-graph %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Wirings of neural networks: build, draw, train, compare and look inside.

    \b
    ddw-graph build --generator ws --k 4 --p 0.75
    ddw-graph COMMAND --help
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


if __name__ == "__main__":
    main()
