"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from ddw_graph.printable import printable

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


@contextmanager
def counting(words: str) -> Iterator[Callable[..., None]]:
    """Shows a bar within; yields what is called with what is done, and of how many."""
    with bar() as progress:
        task = progress.add_task(words, total=None)

        def count(done: int, of: int | None = None) -> None:
            progress.update(task, completed=done, total=of)

        yield count


def print_written(paths: Sequence[Path]) -> None:
    """Prints which files were written."""
    for path in paths:
        click.echo(printable(f"wrote {path}"), err=True)


class TrainingProgress:
    """Shows a training: a bar for steps, a line for each epoch."""

    def __init__(self) -> None:
        self.bar = bar()
        self.task: TaskID | None = None

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Moves the bar."""
        words = f"epoch {epoch}, loss {loss:.3f}"
        if self.task is None:
            self.task = self.bar.add_task(words, total=steps)
        self.bar.update(self.task, completed=step, total=steps, description=words)

    def epoch(self, row: Row) -> None:
        """Prints an epoch's line."""
        from ddw_graph.training.log import score_text

        words = [f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}"]
        if "test_accuracy" in row:
            words.append(score_text(row))
            words.append(f"expected MACs {100 * row['test_macs_share']:.0f} %")
        words += [f"{name} {row[name]:.3f}" for name in ("AP", "AP50") if name in row]
        print_line(self.bar, ", ".join([*words, f"{row['train_seconds']:.1f} s"]))


def print_line(bar: Progress, line: str) -> None:
    """Prints a line on stderr, above the bar if there is one."""
    if bar.disable:
        click.echo(printable(line), err=True)
    else:
        bar.console.print(printable(line), highlight=False, markup=False)


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
            progress = TrainingProgress()
            stack.enter_context(progress.bar)
            listeners.append(progress)
        yield listeners
