"""The command that writes an experiment's report again."""

from pathlib import Path

import click

from ddw_graph.cli.options import JSON_OPTION, PATH


@click.command()
@click.argument("folder", type=PATH)
@JSON_OPTION
def report(folder: Path, as_json: bool) -> None:
    """Write the report of an experiment's FOLDER again.

    It works while runs are trained, too. It has tables and pictures of the runs that
    have finished, as compare, ablate and sweep write them at their end.
    """
    from ddw_graph.cli.experiment import report

    report(folder, as_json=as_json)
