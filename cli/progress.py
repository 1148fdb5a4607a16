"""Progress on stderr: a bar on a terminal, plain lines elsewhere."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

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
def run_bar(epochs: int) -> Iterator[Callable[[int, int, int], None]]:
    """Shows how far runs are that are trained beside each other.

    Gives who hears of runs finished, runs in all, and epochs finished in all of them.

    Args:
        epochs: Epochs of a run.
    """
    with bar() as progress:
        task = progress.add_task("epochs", total=None)

        def show(done: int, of: int, finished: int) -> None:
            progress.update(
                task,
                completed=finished,
                total=of * epochs,
                description=f"{done} of {of} runs, epochs",
            )

        yield show


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
        line = self.line(row)
        if self.bar.disable:
            click.echo(line, err=True)
        else:
            self.bar.console.print(line, highlight=False)

    def line(self, row: Row) -> str:
        """Returns what is told of an epoch."""
        return (
            f"epoch {row['epoch']:.0f}: train loss {row['train_loss']:.3f}, "
            f"test accuracy {100 * row['test_accuracy']:.2f} %, "
            f"expected MACs {100 * row['test_macs_share']:.0f} %, "
            f"{row['train_seconds']:.1f} s"
        )
