"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import TaskID as Bar

if TYPE_CHECKING:
    from ddw_graph.training.loop import Listener

Row = dict[str, float]


def bar() -> Progress:
    """Returns a progress bar on stderr, silent where that is no terminal."""
    console = Console(file=sys.stderr)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def tell_written(paths: Sequence[Path]) -> None:
    """Says which files were written."""
    for path in paths:
        click.echo(f"wrote {path}", err=True)


class TrainingProgress:
    """Shows a training as it goes: a bar for steps, a line for each epoch."""

    def __init__(self) -> None:
        self.bar = bar()
        self.task: Bar | None = None

    def __enter__(self) -> "TrainingProgress":
        """Starts the bar."""
        self.bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Ends the bar."""
        self.bar.stop()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Moves the bar."""
        words = f"epoch {epoch}, loss {loss:.3f}"
        if self.task is None:
            self.task = self.bar.add_task(words, total=steps)
        self.bar.update(self.task, completed=step, total=steps, description=words)

    def epoch(self, row: Row) -> None:
        """Prints an epoch's line."""
        line = _line(row)
        if self.bar.disable:
            click.echo(line, err=True)
        else:
            self.bar.console.print(line, highlight=False)


def _line(row: Row) -> str:
    """Returns the line of an epoch."""
    from ddw_graph.training.log import score_text

    words = [f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}"]
    if "test_accuracy" in row:
        words.append(score_text(row))
        words.append(f"expected MACs {100 * row['test_macs_share']:.0f} %")
    words += [f"{name} {row[name]:.3f}" for name in ("AP", "AP50") if name in row]
    return ", ".join([*words, f"{row['train_seconds']:.1f} s"])


@contextmanager
def shown_progress(board: Path | None, *, shows: bool) -> Iterator[list["Listener"]]:
    """Shows a training as it proceeds, in TensorBoard too if a folder is given.

    Args:
        board: Folder for TensorBoard.
        shows: Whether this process shows anything.

    Yields:
        The listeners of the training.
    """
    from ddw_graph.training.tensorboard import TensorBoard

    listeners: list[Listener] = []
    with ExitStack() as stack:
        if shows and board is not None:
            listeners.append(stack.enter_context(TensorBoard(board)))
        if shows:
            listeners.append(stack.enter_context(TrainingProgress()))
        yield listeners
