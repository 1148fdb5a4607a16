"""What a sweep shows: a bar and a line for each end, and its status as a table."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from ddw_graph.cli.progress import bar

if TYPE_CHECKING:
    from ddw_graph.sweeping.folder import Status


class SweepProgress:
    """Shows a sweep as it goes, on stderr."""

    def __init__(self) -> None:
        self.bar = bar()
        self.task = self.bar.add_task("", total=None)

    def stands(self, statuses: "Sequence[Status]") -> None:
        """Moves the bar, which counts epochs."""
        self.bar.update(
            self.task,
            completed=sum(status.epochs for status in statuses),
            total=sum(status.of for status in statuses),
            description=f"{counts(statuses)}; epochs",
        )

    def said(self, line: str) -> None:
        """Prints a line."""
        if self.bar.disable:
            click.echo(line, err=True)
        else:
            self.bar.console.print(line, highlight=False, markup=False)


def counts(statuses: "Sequence[Status]") -> str:
    """Returns how many runs stand how, in words."""
    found = Counter(status.state for status in statuses)
    told = [f"{found[state]} {state}" for state in ("finished", "running", "failed")]
    return f"{', '.join(told)}, {found['waiting']} waiting"


def status_lines(statuses: "Sequence[Status]") -> list[str]:
    """Returns a line for each run that is not waiting or finished, and one for all."""
    lines = []
    for status in statuses:
        attempt = status.attempt
        if status.state == "running":
            where = f"process {attempt.pid} on {attempt.host}"
            epochs = f"{status.epochs} of {status.of} epochs"
            lines.append(f"running   {status.run}: {epochs}, {where}")
        elif attempt.failure is not None and status.state != "finished":
            state = "to retry" if attempt.again else "failed"
            lines.append(f"{state:9} {status.run}: {attempt.failure}")
    return [*lines, counts(statuses)]
