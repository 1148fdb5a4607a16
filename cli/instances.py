"""The command that tests whether networks need each image's own wiring."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, PATH, RUNS_ARGUMENT
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.training_options import common_source, run_data_options


@click.command(cls=SettingsCommand)
@RUNS_ARGUMENT
@run_data_options
@place_options
@click.option(
    "--out",
    type=PATH,
    default=Path("instances"),
    show_default=True,
    help="Folder: new, empty, or that of an earlier test, which gains these runs.",
)
@JSON_OPTION
def instances(
    runs: tuple[Path, ...],
    device: str,
    threads: int | None,
    workers: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Test whether trained RUNs need each image's own wiring.

    A RUN is a run's folder, or that of an experiment, which stands for all of its runs
    with dynamic edges.
    Each network is evaluated on the test images with each image's own wiring, with the
    mean one of the training images, with another image's of the class, and with that of
    any other image. Differences are paired by seed, which fixes the shuffles.

    \b
    ddw-graph compare --edges dynamic --edges dynamic:bias=0 --out trained
    ddw-graph instances trained --out tested
    """
    from ddw_graph.analysis.instance_report import instance_table, write_instances
    from ddw_graph.cli.progress import counting, print_written
    from ddw_graph.experiments.groups import groups, runs_in
    from ddw_graph.experiments.instance_runs import instance_tests
    from ddw_graph.experiments.instance_summary import instance_summary, verdicts
    from ddw_graph.training.data import load_source
    from ddw_graph.training.run import Run

    place = computing_device(device, threads)
    folders = runs_in(runs, dynamic=True)
    found = groups(folders)
    data = load_source(common_source(list(map(Run, folders)), options))
    with counting("runs tested") as count:
        rows, varied = instance_tests(
            found,
            data,
            out,
            device=place,
            workers=workers,
            progress=count,
        )
    written = write_instances(rows, varied, out)
    table = instance_summary(rows)
    if as_json:
        tested = {"wirings": rows, "variation": varied, "summary": table}
        click.echo(json.dumps({**tested, "verdicts": verdicts(table)}))
    else:
        click.echo(instance_table(table))
        for entry, words in verdicts(table).items():
            click.echo(f"{entry}: {words}")
    print_written(written)
