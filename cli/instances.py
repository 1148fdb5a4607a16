"""The command that tests whether networks need each image's own wiring."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, RUNS_ARGUMENT
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.training_options import (
    common_source,
    run_data_options,
)


@click.command(cls=SettingsCommand)
@RUNS_ARGUMENT
@run_data_options
@place_options
@click.option(
    "--shuffle-seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Fixes the shuffles.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
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
    shuffle_seed: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Test whether trained RUNs need each image's own wiring.

    A RUN is a run's folder, or that of an experiment, which stands for all of its runs
    with dynamic edges.
    Each network is evaluated on the test images with each image's own wiring, with the
    mean one of the training images, with another image's of the class, and with that of
    any other image. Differences are paired by seed.

    \b
    ddw-graph compare --edges dynamic --edges dynamic:bias=0 --out trained
    ddw-graph instances trained --out tested
    """
    from ddw_graph.analysis.instance_report import instance_table, write_instances
    from ddw_graph.cli.progress import bar, tell_written
    from ddw_graph.experiments.groups import groups, runs_in
    from ddw_graph.experiments.instance_runs import instance_tests
    from ddw_graph.experiments.instance_summary import instance_summary, verdicts
    from ddw_graph.training.data import load_source
    from ddw_graph.training.run import Run

    place = computing_device(device, threads)
    folders = runs_in(runs, dynamic=True)
    found = groups(folders)
    _check_same_images(folders)
    data = load_source(common_source([Run(folders[0])], options))
    with bar() as progress:
        task = progress.add_task("runs tested", total=None)
        rows, varied = instance_tests(
            found,
            data,
            out,
            seed=shuffle_seed,
            device=place,
            workers=workers,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
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
    tell_written(written)


def _check_same_images(runs: list[Path]) -> None:
    """Checks that runs were trained on the same images.

    Raises:
        RunError: If they were not, or one does not record on which.
    """
    from ddw_graph.errors import RunError
    from ddw_graph.training.run import Run

    for run in runs:
        if Run(run).config.get("task") != "classification":
            raise RunError(f"runs must be of images, got {run}")
    first = Run(runs[0]).config["data"]
    for run in runs[1:]:
        if Run(run).config["data"] != first:
            raise RunError(
                "runs that are tested together must be of the same images, got others "
                f"in {run} than in {runs[0]}"
            )
