"""The folder of an experiment: what is planned, and the status of each run.

``runs/NAME`` is a run's folder, as ``train`` makes it. ``runs.json`` lists the planned
runs. ``jobs`` holds for each run ``NAME.json`` (its plan), ``NAME.lock`` (held by the
process that trains it), ``NAME.state.json`` (its last attempt, written by the holder of
the lock) and ``NAME.log`` (what it printed). All of it is JSON and text: reading it
runs no code.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.planned_run import PlannedRun
from ddw_graph.training.lock import is_locked, lock
from ddw_graph.training.log import finished_epochs
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import LOCK, read_json, write_json

STATES = ("waiting", "running", "failed", "finished")


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a run.

    Args:
        number: How many there were, including this one.
        began: When, in seconds since 1970.
        failure: Why it ended without a result; None while it has not.
        by_user: Whether the settings are at fault, so that it would fail again.
        again: Whether there will be another attempt.
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
    """The status of a run.

    Args:
        state: One of ``STATES``.
        epochs: Epochs that are finished.
        of: Epochs in all.
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
            **{key: getattr(self, key) for key in ("run", "state", "epochs", "of")},
            "attempts": kept["number"],
            **{key: kept[key] for key in ("host", "pid", "failure")},
        }


@dataclass(frozen=True)
class ExperimentFolder:
    """The folder of an experiment."""

    path: Path

    def run(self, name: str) -> Path:
        """Returns the folder of a run."""
        return self.path / "runs" / name

    def job(self, name: str, ending: str) -> Path:
        """Returns one of the files that describe a run."""
        return self.path / "jobs" / f"{name}{ending}"

    def planned(self) -> dict[str, int]:
        """Returns the planned runs, in their order, each with its epochs.

        Raises:
            RunError: If the folder holds no experiment.
        """
        path = self.path / "runs.json"
        if not path.is_file():
            raise RunError(
                f"an experiment's folder must hold runs.json, got {self.path}"
            )
        runs = read_json(path)
        if not isinstance(runs, dict) or not all(
            Path(name).name == name not in ("", "..") and isinstance(epochs, int)
            for name, epochs in runs.items()
        ):
            raise RunError(f"{path} must hold names of runs with their epochs")
        return runs

    def add_planned(self, runs: Mapping[str, int]) -> None:
        """Adds runs, each with its epochs, to those that are planned."""
        path = self.path / "runs.json"
        known = self.planned() if path.exists() else {}
        write_json(path, known | dict(runs))

    def write_plan(self, name: str, run: PlannedRun) -> None:
        """Writes the plan of a run."""
        write_json(self.job(name, ".json"), run.as_dict())

    def plan(self, name: str) -> PlannedRun:
        """Returns the plan of a run.

        Raises:
            RunError: If there is none, or it is damaged.
        """
        path = self.job(name, ".json")
        value = read_json(path)
        try:
            return PlannedRun.from_dict(value)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise RunError(f"{path} must hold the plan of a run: {error}") from error

    def result(self, name: str) -> dict[str, Any] | None:
        """Returns the result of a run, None if it has not finished."""
        run = self.run(name)
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
        """Writes the last attempt at a run; for the holder of its lock."""
        write_json(self.job(name, ".state.json"), asdict(attempt))

    def is_training(self, name: str) -> bool:
        """Returns whether a living process trains a run, of the experiment or not."""
        return is_locked(self.job(name, ".lock")) or self.is_taken(name)

    def is_taken(self, name: str) -> bool:
        """Returns whether a living process holds the lock of a run's folder."""
        return is_locked(self.run(name) / LOCK)

    def status(self, name: str, of: int) -> Status:
        """Returns the status of a run of so many epochs, wherever it is trained."""
        # Before the result is read: a run that ends in between must not look killed.
        attempt, trains = self.attempt(name), self.is_training(name)
        epochs = finished_epochs(self.run(name))
        if self.result(name) is not None:
            return Status(name, "finished", of, of, attempt)
        if trains:
            state = "running"
        elif attempt.number == 0 and attempt.failure is None:
            state = "waiting"
        else:
            state = "waiting" if attempt.again else "failed"
            killed = "it was killed; run the same command again to resume"
            attempt = replace(attempt, failure=attempt.failure or killed)
        return Status(name, state, epochs, of, attempt)

    def statuses(self) -> list[Status]:
        """Returns the status of every run."""
        return [self.status(name, of) for name, of in self.planned().items()]


def this_attempt(number: int) -> Attempt:
    """Returns an attempt that begins now, in this process."""
    return Attempt(number, time.time(), socket.gethostname(), os.getpid())


@contextmanager
def only_driver(folder: ExperimentFolder) -> Iterator[None]:
    """Makes this process the only one that drives an experiment, for a while.

    Raises:
        RunError: If another one does.
    """
    name = folder.path / "driver.txt"
    with lock(folder.path / "driver.lock") as taken:
        if not taken:
            # It writes its name when it has the lock.
            other = name.read_text() if name.exists() else "another process"
            raise RunError(
                f"{folder.path} is in use by {other}; look at it with ddw-graph status"
            )
        name.write_text(f"process {os.getpid()} on {socket.gethostname()}")
        yield
