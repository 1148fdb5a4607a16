"""The command that shows the status of an experiment's runs."""

import json
from pathlib import Path

import click

from ddw_graph.cli.experiment import counts
from ddw_graph.cli.options import JSON_OPTION, PATH
from ddw_graph.printable import printable


@click.command()
@click.argument("folder", type=PATH)
@JSON_OPTION
def status(folder: Path, as_json: bool) -> None:
    """Show the status of the runs in an experiment's FOLDER.

    It works while they are trained, too: a line for each run that is running or has
    failed, and the counts of all.
    """
    from ddw_graph.experiments.folder import ExperimentFolder

    statuses = ExperimentFolder(folder).statuses()
    if as_json:
        click.echo(json.dumps([status.as_dict() for status in statuses]))
        return
    for each in statuses:
        attempt = each.attempt
        if each.state == "running":
            # A process that is not the experiment's leaves no name.
            own = f"process {attempt.pid} on {attempt.host}"
            where = own if attempt.pid else "another process"
            epochs = f"{each.epochs} of {each.of} epochs"
            click.echo(printable(f"running   {each.run}: {epochs}, {where}"))
        elif attempt.failure is not None and each.state != "finished":
            state = "to retry" if attempt.again else "failed"
            click.echo(printable(f"{state:9} {each.run}: {attempt.failure}"))
    click.echo(counts(statuses))
