"""The command that trains many settings."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.options import JSON_OPTION, refuse_options
from ddw_graph.cli.training_options import (
    CHECKPOINT_STEPS_OPTION,
    DEVICE_OPTION,
    WORKERS_OPTION,
)

if TYPE_CHECKING:
    from ddw_graph.sweeping.executors import Executor
    from ddw_graph.sweeping.folder import Status, SweepFolder
    from ddw_graph.sweeping.plan import SweepPlan


OF_SLURM = {"partition", "time", "cpus", "gpus", "memory"}


@click.command()
@click.argument("spec", type=click.Path(path_type=Path), required=False)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder: new, empty, or that of the same sweep, which then goes on.",
)
@click.option(
    "--status",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Say how the runs of a sweep stand, also while it goes, and do nothing.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Write table and picture of what has finished, also while it goes.",
)
@click.option("--dry-run", is_flag=True, help="Check, list the runs, and do nothing.")
@click.option(
    "--executor",
    type=click.Choice(["local", "slurm"]),
    default="local",
    show_default=True,
    help="Where runs are trained: processes of this machine, or jobs of Slurm.",
)
@click.option(
    "--jobs",
    type=int,
    help="Runs at once.  [default: one a core, or a GPU; with slurm 16]",
)
@click.option(
    "--retries",
    type=click.IntRange(min=0),
    default=2,
    show_default=True,
    help="Further attempts at a run that crashed or was killed.",
)
@click.option("--partition", help="Of Slurm.  [default: the cluster's]")
@click.option("--time", type=int, default=60, show_default=True, help="Minutes a job.")
@click.option("--cpus", type=int, default=1, show_default=True, help="Cores a job.")
@click.option("--gpus", type=int, default=0, show_default=True, help="GPUs a job.")
@click.option("--memory", help="Of a job, such as 8GB.  [default: the cluster's]")
@DEVICE_OPTION
@WORKERS_OPTION
@CHECKPOINT_STEPS_OPTION
@JSON_OPTION
@click.pass_context
def sweep(
    context: click.Context,
    spec: Path | None,
    out: Path | None,
    status: Path | None,
    report: Path | None,
    dry_run: bool,
    executor: str,
    jobs: int | None,
    retries: int,
    partition: str | None,
    time: int,
    cpus: int,
    gpus: int,
    memory: str | None,
    device: str,
    workers: int,
    checkpoint_steps: int | None,
    as_json: bool,
) -> None:
    """Train many settings: a grid or a search, here or on Slurm.

    SPEC is a TOML file: what is fixed, and what varies. Results are collected in
    runs.csv, and drawn over the wirings' clustering and path length in graphs.png. The
    same command goes on with what was interrupted; a run that fails ends no other, and
    the exit code is 1 if some have failed at the end.

    \b
    ddw-graph sweep sweep.toml --out sweep --dry-run
    ddw-graph sweep sweep.toml --out sweep --jobs 2
    ddw-graph sweep sweep.toml --out sweep --executor slurm --partition gpu --gpus 1
    ddw-graph sweep --status sweep
    ddw-graph sweep --report sweep
    """
    looks = {"--status": status, "--report": report}
    given = [option for option, folder in looks.items() if folder is not None]
    if given and (len(given) > 1 or spec or out or dry_run):
        raise click.UsageError(
            f"{given[0]} takes a folder, and no SPEC or other task beside it"
        )
    if status is not None:
        _show_status(status, as_json)
        return
    if report is not None:
        from ddw_graph.sweeping.folder import SweepFolder

        _report(report, SweepFolder(report).statuses(), as_json)
        return
    if spec is None:
        raise click.UsageError(
            "a sweep needs SPEC, a TOML file, or --status or --report with its folder"
        )

    from ddw_graph.cli.sweep_progress import SweepProgress
    from ddw_graph.sweeping.executors import LocalExecutor
    from ddw_graph.sweeping.plan import SweepPlan
    from ddw_graph.sweeping.settings import data_source
    from ddw_graph.sweeping.slurm import SlurmExecutor, SlurmOptions
    from ddw_graph.sweeping.spec import read_spec
    from ddw_graph.sweeping.sweep import run_sweep
    from ddw_graph.sweeping.worker import Work
    from ddw_graph.training.launch import usable_device

    checked = read_spec(spec)
    plan = SweepPlan(checked, data_source(checked.fixed).load())
    if dry_run:
        _show_plan(plan, as_json)
        return
    if out is None:
        raise click.UsageError("a sweep needs --out, its folder")
    options = SlurmOptions(partition, time, cpus, gpus, memory)
    if executor == "local":
        refuse_options(context, "--executor local", OF_SLURM)
        usable_device(device)

    work = Work(device, workers, checkpoint_steps)

    def place(folder: "SweepFolder") -> "Executor":
        if executor == "local":
            runs = checked.trials or len(folder.runs_planned())
            return LocalExecutor(folder, jobs, work, runs=runs)
        return SlurmExecutor(folder, 16 if jobs is None else jobs, options, work)

    progress = SweepProgress()
    with progress.bar:
        outcome = run_sweep(plan, out, place, retries=retries, listener=progress)
    failed = [status.as_dict() for status in outcome.failed]
    _report(out, outcome.statuses, as_json, failed=failed, best=outcome.best)
    if outcome.failed:
        context.exit(1)


def _show_status(path: Path, as_json: bool) -> None:
    from ddw_graph.cli.sweep_progress import status_lines
    from ddw_graph.sweeping.folder import SweepFolder

    statuses = SweepFolder(path).statuses()
    if as_json:
        click.echo(json.dumps([status.as_dict() for status in statuses]))
    else:
        click.echo("\n".join(status_lines(statuses)))


def _report(
    path: Path,
    statuses: "Sequence[Status]",
    as_json: bool,
    **found: Any,
) -> None:
    """Writes table and picture of what has finished, and tells of it."""
    from ddw_graph.analysis.sweep_report import write_sweep_report
    from ddw_graph.cli.progress import tell_written
    from ddw_graph.cli.sweep_progress import counts
    from ddw_graph.sweeping.folder import SweepFolder
    from ddw_graph.sweeping.table import table

    rows = table(SweepFolder(path))
    written = write_sweep_report(path, rows)
    if as_json:
        click.echo(json.dumps({"runs": rows, **found}))
    else:
        click.echo(counts(statuses))
        for name in found.get("best", ()):
            click.echo(f"best: {name}")
    tell_written(written)


def _show_plan(plan: "SweepPlan", as_json: bool) -> None:
    from ddw_graph.sweeping.plan import run_name

    if plan.spec.search == "optuna":
        plan.check_ends()
        points = []
    else:
        points = plan.points()
        for point in points:
            plan.run(point, Path())
    if as_json:
        named = [{"run": run_name(point), **point} for point in points]
        click.echo(json.dumps({"runs": named, "trials": plan.spec.trials}))
        return
    for point in points:
        click.echo(run_name(point))
    axes = ", ".join(plan.spec.axes)
    told = f"{plan.spec.trials} trials" if plan.spec.search == "optuna" else "runs"
    click.echo(f"{len(points) or ''} {told} over {axes or 'nothing'}".strip(), err=True)
