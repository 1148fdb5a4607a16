"""The command that trains many settings."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.experiment import Runner, run_and_report, runner_options
from ddw_graph.cli.options import PATH
from ddw_graph.cli.setting_options import SettingsCommand


@click.command(cls=SettingsCommand)
@click.argument("spec", type=PATH)
@click.option("--dry-run", is_flag=True, help="Check and list the runs only.")
@runner_options("sweep")
def sweep(spec: Path, dry_run: bool, out: Path, as_json: bool, **options: Any) -> None:
    """Train many settings: a grid or a search, here or on Slurm.

    SPEC is a TOML file with what is fixed and what varies. The same command resumes
    after an interruption. A run that fails ends no other; the exit code is 1 if some
    have failed at the end.

    \b
    ddw-graph sweep sweep.toml --dry-run
    ddw-graph sweep sweep.toml --out sweep --jobs 2
    ddw-graph sweep sweep.toml --out sweep --slurm partition=gpu,gpus=1,time=240
    ddw-graph status sweep
    """
    from ddw_graph.experiments.plan import run_name
    from ddw_graph.experiments.spec import read_spec

    checked, runner = read_spec(spec), Runner(options)
    if not dry_run:
        run_and_report(checked, runner, out, as_json=as_json)
        return
    plan = runner.plan(checked)
    points = plan.points()
    if as_json:
        named = [{"run": run_name(point), **point} for point in points]
        click.echo(json.dumps({"runs": named, "trials": checked.trials}))
        return
    for point in points:
        plan.run(point)
        click.echo(run_name(point))
    count = f"{len(points)} runs" if points else f"{checked.trials} trials"
    click.echo(f"{count} over {', '.join(checked.axes) or 'entries'}", err=True)
