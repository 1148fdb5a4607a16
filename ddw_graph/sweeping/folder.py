"""The folder of a sweep: what is planned, and how each of its runs stands.

``runs/NAME`` is a run's folder, as ``train`` makes it. ``jobs`` holds for each run
``NAME.json`` (its plan), ``NAME.lock`` (held by whoever trains it),
``NAME.state.json`` (its last attempt, written by whoever holds the lock) and
``NAME.log`` (what it printed). All of it is JSON and text: reading it runs no code.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.runs import PlannedRun
from ddw_graph.sweeping.axes import Point
from ddw_graph.training.data import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.lock import is_locked, lock
from ddw_graph.training.log import finished_epochs
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import read_json, write_json

STATES = ("waiting", "running", "failed", "finished")


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a run.

    Args:
        number: How many there were, this one counted.
        began: When, in seconds since 1970.
        host: On which machine.
        pid: In which process.
        failure: Why it ended without a result; None while it has not.
        by_user: Whether what failed is what the user gave, which fails again.
        again: Whether the sweep tries again.
    """

    number: int = 0
    began: float = 0.0
    host: str = ""
    pid: int = 0
    failure: str | None = None
    by_user: bool = False
    again: bool = False


@dataclass(frozen=True)
class Status:
    """How a run stands.

    Args:
        run: Its name.
        state: One of ``STATES``.
        epochs: Epochs that are finished.
        of: Epochs in all.
        attempt: The last attempt.
    """

    run: str
    state: str
    epochs: int
    of: int
    attempt: Attempt

    def as_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        kept = asdict(self.attempt)
        return {
            "run": self.run,
            "state": self.state,
            "epochs": self.epochs,
            "of": self.of,
            "attempts": kept["number"],
            **{key: kept[key] for key in ("host", "pid", "failure")},
        }


@dataclass(frozen=True)
class SweepFolder:
    """The folder of a sweep.

    Args:
        path: The folder.
    """

    path: Path

    @property
    def runs(self) -> Path:
        """Where the runs' folders are."""
        return self.path / "runs"

    @property
    def driver_lock(self) -> Path:
        """What the sweep that goes on holds."""
        return self.path / "driver.lock"

    def job(self, name: str, ending: str) -> Path:
        """Returns one of the files beside a run's folder."""
        return self.path / "jobs" / f"{name}{ending}"

    def runs_planned(self) -> dict[str, int]:
        """Returns the planned runs, in their order, each with its epochs.

        Raises:
            RunError: If the folder holds no sweep.
        """
        path = self.path / "sweep.json"
        if not path.is_file():
            raise RunError(f"a sweep's folder must hold sweep.json, got {self.path}")
        value = read_json(path)
        runs = value.get("runs") if isinstance(value, dict) else None
        if not isinstance(runs, dict) or not all(
            Path(name).name == name and isinstance(epochs, int)
            for name, epochs in runs.items()
        ):
            raise RunError(f"{path} must hold a sweep's runs with their epochs")
        return runs

    def write_runs(self, runs: Mapping[str, int]) -> None:
        """Writes which runs are planned, each with its epochs."""
        write_json(self.path / "sweep.json", {"runs": dict(runs)})

    def write_plan(self, point: Point, run: PlannedRun) -> None:
        """Writes the plan of a run."""
        plan = {
            "point": point,
            "model": run.model,
            "recipe": run.recipe.as_dict(),
            "execution": run.execution.as_dict(),
            "source": run.source.as_dict(),
            "seed": run.seed,
        }
        write_json(self.job(run.folder.name, ".json"), plan)

    def plan(self, name: str) -> tuple[Point, PlannedRun]:
        """Returns a run's point and its plan.

        Raises:
            RunError: If there is none, or it is damaged.
        """
        path = self.job(name, ".json")
        value = read_json(path)
        try:
            run = PlannedRun(
                self.runs / name,
                dict(value["model"]),
                Recipe(**value["recipe"]),
                DataSource.from_dict(value["source"]),
                int(value["seed"]),
                execution=Execution(**value["execution"]),
            )
            return dict(value["point"]), run
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} must hold the plan of a run: {error}") from error

    def result(self, name: str) -> dict[str, Any] | None:
        """Returns the result of a run, None of one that has not finished."""
        run = self.runs / name
        return Run(run).result if (run / "config.json").exists() else None

    def attempt(self, name: str) -> Attempt:
        """Returns the last attempt at a run, one with number 0 if there is none."""
        path = self.job(name, ".state.json")
        if not path.exists():
            return Attempt()
        value = read_json(path)
        known = {f.name for f in fields(Attempt)}
        if not isinstance(value, dict) or set(value) != known:
            raise RunError(f"{path} must hold an attempt at a run")
        return Attempt(**value)

    def write_attempt(self, name: str, attempt: Attempt) -> None:
        """Writes the last attempt at a run, by whoever holds its lock."""
        write_json(self.job(name, ".state.json"), asdict(attempt))

    def is_training(self, name: str) -> bool:
        """Returns whether a living process trains a run."""
        return is_locked(self.job(name, ".lock"))

    def status(self, name: str, of: int) -> Status:
        """Returns how a run of so many epochs stands, whoever trains it."""
        # Before the result is looked for, lest a run that ends between looks killed.
        attempt, trains = self.attempt(name), self.is_training(name)
        epochs = finished_epochs(self.runs / name)
        if self.result(name) is not None:
            state, epochs = "finished", of
        elif trains:
            state = "running"
        elif attempt.number == 0 and attempt.failure is None:
            state = "waiting"
        else:
            state = "waiting" if attempt.again else "failed"
            if attempt.failure is None:
                told = "it was ended from outside; the same command goes on"
                attempt = Attempt(**asdict(attempt) | {"failure": told})
        return Status(name, state, epochs, of, attempt)

    def statuses(self) -> list[Status]:
        """Returns how every run stands."""
        return [self.status(name, of) for name, of in self.runs_planned().items()]


def this_attempt(number: int) -> Attempt:
    """Returns an attempt that begins here and now."""
    return Attempt(number, time.time(), socket.gethostname(), os.getpid())


@contextmanager
def driver_of(folder: SweepFolder) -> Iterator[None]:
    """Makes this process the only one that drives a sweep, for a while.

    Raises:
        RunError: If another one does.
    """
    name = folder.path / "driver.txt"
    with lock(folder.driver_lock) as taken:
        if not taken:
            raise RunError(
                f"{folder.path} is being swept by {name.read_text()}; "
                "look on with --status"
            )
        me = f"process {os.getpid()} on {socket.gethostname()}"
        name.write_text(me)
        yield
