"""What the commands that run experiments share: options, progress and the report."""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import DEVICE_OPTION, WORKERS_OPTION
from ddw_graph.cli.options import JSON_OPTION, PATH
from ddw_graph.cli.progress import bar, print_line, print_written
from ddw_graph.cli.setting_options import Command, section, setting_option
from ddw_graph.cli.training_options import CHECKPOINT_STEPS_OPTION
from ddw_graph.printable import printable
from ddw_graph.settings import Setting

if TYPE_CHECKING:
    from ddw_graph.experiments.folder import ExperimentFolder, Status
    from ddw_graph.experiments.plan import Plan
    from ddw_graph.experiments.processes import Executor
    from ddw_graph.experiments.runner import Outcome
    from ddw_graph.experiments.spec import Spec

MOST_SHOWN = 40
"""Entries above which the summary is not printed."""


def runner_options(out: str) -> Callable[[Command], Command]:
    """Returns a decorator that adds the options of where and how runs are trained."""
    output = section(
        "Output",
        click.option(
            "--out",
            type=PATH,
            default=Path(out),
            show_default=True,
            help="Folder: new, empty, or that of the same experiment, which resumes "
            "and gains the runs that it does not have.",
        ),
        CHECKPOINT_STEPS_OPTION,
        JSON_OPTION,
    )
    execution = section(
        "Execution",
        setting_option(
            Setting("jobs", int, "Runs at once.", "[1, inf)"),
            shown="one a core, or a GPU; with --slurm 16",
        ),
        setting_option(
            Setting("threads", int, "Threads of each run.", "[1, 4096]"),
            shown="OMP_NUM_THREADS, or one",
        ),
        setting_option(
            Setting(
                "retries",
                int,
                "Further attempts at a run that crashed or was killed.",
                "[0, inf)",
            ),
            default=2,
        ),
        click.option(
            "--slurm",
            metavar="SETTINGS",
            help="Train in jobs of Slurm that get these, such as "
            "time=240,partition=gpu,gpus=1,cpus=8,memory=32GB.",
        ),
        DEVICE_OPTION,
        WORKERS_OPTION,
    )
    return lambda command: execution(output(command))


def given_settings() -> dict[str, Any]:
    """Returns the settings that all runs share, as the command line gives them."""
    from ddw_graph.experiments.settings import SETTINGS

    return {
        name: str(value) if isinstance(value, Path) else value
        for name, value in click.get_current_context().params.items()
        # What an option gives several of is not shared.
        if name in SETTINGS and not (value is None or isinstance(value, tuple))
    }


class Runner:
    """Runs experiments as the options of a command say, and shows their progress."""

    def __init__(self, options: Mapping[str, Any]) -> None:
        from ddw_graph.experiments.planned_run import Work
        from ddw_graph.experiments.slurm import SlurmOptions
        from ddw_graph.training.data import load_source
        from ddw_graph.training.launch import usable_device

        self.jobs: int | None = options["jobs"]
        self.threads: int | None = options["threads"]
        self.retries: int = options["retries"]
        slurm = options["slurm"]
        self.slurm = None if slurm is None else SlurmOptions.from_text(slurm)
        device = options["device"]
        if self.slurm is None:
            usable_device(device)
        self.work = Work(device, options["workers"], options["checkpoint_steps"])
        self.load = cache(load_source)

    def plan(self, spec: "Spec") -> "Plan":
        """Returns an experiment with its data; equal data are loaded once."""
        from ddw_graph.experiments.plan import Plan
        from ddw_graph.experiments.settings import data_source

        return Plan(spec, self.load(data_source(spec.fixed)))

    def run(
        self, plan: "Plan", path: Path, started: Callable[[], None] = lambda: None
    ) -> "Outcome":
        """Runs what has no result yet.

        Args:
            started: Called when the folder is that of the experiment.
        """
        from ddw_graph.experiments.runner import run_experiment

        def place(folder: "ExperimentFolder") -> "Executor":
            started()
            return self.place(folder)

        progress = ExperimentProgress()
        with progress.bar:
            return run_experiment(
                plan, path, place, retries=self.retries, listener=progress
            )

    def place(self, folder: "ExperimentFolder") -> "Executor":
        """Returns what trains the runs of a folder."""
        from ddw_graph.experiments.processes import ProcessExecutor
        from ddw_graph.experiments.slurm import SlurmExecutor

        if self.slurm is not None:
            options = replace(self.slurm, cpus=self.threads or self.slurm.cpus)
            return SlurmExecutor(folder, self.jobs or 16, options, self.work)
        waiting = [name for name in folder.planned() if folder.result(name) is None]
        runs = len(waiting) or None
        return ProcessExecutor(
            folder, self.jobs, self.work, runs=runs, threads=self.threads
        )


def run_and_report(
    spec: "Spec",
    runner: Runner,
    out: Path,
    *,
    part: str | None = None,
    steps: bool = False,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    as_json: bool,
) -> None:
    """Runs an experiment, writes its report and prints it.

    Exits with 1 if a run has failed.

    Args:
        part: Name of the report's folder in ``out``, which reports may share; by
            default the report is in ``out`` itself.
        steps: Whether training steps are measured too.
    """
    from ddw_graph.analysis.report import describe_report, runs_reported, write_costs
    from ddw_graph.experiments.costs import costs
    from ddw_graph.training.launch import usable_device

    plan = runner.plan(spec)
    folder = out / part if part else out
    # Before the first run, so that ``ddw-graph report`` works while they are trained.
    describe = partial(describe_report, folder, spec, part=part is not None)
    outcome = runner.run(plan, out, describe)
    if spec.entries:
        # The networks of one seed, in turns.
        runs = {e: next(iter(of.values())) for e, of in runs_reported(folder).items()}
        device = usable_device(runner.work.device)
        if runs:
            write_costs(folder, costs(runs, plan.data, steps=steps, device=device))
    report(folder, outcome=outcome, tables=tables, as_json=as_json)
    if outcome.failed:
        click.get_current_context().exit(1)


def report(
    folder: Path,
    *,
    outcome: "Outcome | None" = None,
    tables: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    as_json: bool,
) -> None:
    """Writes the report of an experiment, and prints its summary."""
    from ddw_graph.analysis.report import report_table, write_report

    rows, found, written = write_report(folder, tables)
    if as_json:
        printed: dict[str, Any] = {"runs": rows, "summary": found}
        if outcome:
            printed["failed"] = [status.as_dict() for status in outcome.failed]
            printed["best"] = outcome.best
        click.echo(json.dumps(printed))
    else:
        if 0 < len(found) <= MOST_SHOWN:
            click.echo(report_table(found))
        for name in outcome.best if outcome else ():
            click.echo(f"best: {printable(name)}")
        if outcome and outcome.failed:
            click.echo(counts(outcome.statuses), err=True)
    print_written(written)


class ExperimentProgress:
    """Shows an experiment while it runs, on stderr."""

    def __init__(self) -> None:
        self.bar = bar()
        self.task = self.bar.add_task("", total=None)

    def statuses(self, statuses: "Sequence[Status]") -> None:
        """Moves the bar, which counts epochs."""
        self.bar.update(
            self.task,
            completed=sum(status.epochs for status in statuses),
            total=sum(status.of for status in statuses),
            description=f"{counts(statuses)}; epochs",
        )

    def line(self, line: str) -> None:
        """Prints a line."""
        print_line(self.bar, line)


def counts(statuses: "Sequence[Status]") -> str:
    """Returns how many runs have each state, in words."""
    found = Counter(status.state for status in statuses)
    states = ("finished", "running", "failed", "waiting")
    return ", ".join(f"{found[state]} {state}" for state in states)
