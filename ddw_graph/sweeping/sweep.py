"""Sweeps: many runs, wherever they are trained, each result there exactly once."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ddw_graph.errors import RunError, UserError
from ddw_graph.sweeping.axes import Point
from ddw_graph.sweeping.executors import Executor
from ddw_graph.sweeping.folder import (
    Attempt,
    Status,
    SweepFolder,
    driver_of,
)
from ddw_graph.sweeping.plan import SweepPlan, run_name
from ddw_graph.sweeping.search import OptunaSearch
from ddw_graph.training.lock import lock
from ddw_graph.training.log import score_text
from ddw_graph.training.run_folder import RunFolder


@runtime_checkable
class Listener(Protocol):
    """Hears how a sweep goes."""

    def stands(self, statuses: Sequence[Status]) -> None:
        """Hears how every run stands, some times a minute."""

    def said(self, line: str) -> None:
        """Hears of something that happened."""


@runtime_checkable
class Places(Protocol):
    """Makes the place where the runs of a folder are trained."""

    def __call__(self, folder: SweepFolder) -> Executor:
        """Returns it."""


@dataclass(frozen=True)
class Outcome:
    """What a sweep came to.

    Args:
        statuses: How every run stands, in the order of the sweep.
        best: Names of the best runs, where a search looked for them.
    """

    statuses: list[Status]
    best: list[str]

    @property
    def failed(self) -> list[Status]:
        """The runs that have no result."""
        return [status for status in self.statuses if status.state != "finished"]


def run_sweep(
    plan: SweepPlan,
    path: Path,
    place: Places,
    *,
    retries: int = 2,
    listener: Listener | None = None,
) -> Outcome:
    """Trains what has no result yet, and returns how every run stands at the end.

    Everything is planned, and by that checked, before the first run begins. A run that
    fails ends no other. Whatever is killed, the same call goes on: a run with a result
    is not repeated, one without goes on from its checkpoint, and one that another
    process still trains is waited for.

    Args:
        plan: The sweep.
        path: Its folder: new, empty, or that of a sweep of which this one has all runs.
        place: Where runs are trained.
        retries: Further attempts at a run that crashed or was killed. What the user got
            wrong is not tried again.
        listener: Hears how it goes.

    Raises:
        UserError: If a run cannot be built, the folder holds something else or is being
            swept, or the place refuses.
    """
    if retries < 0:
        raise RunError(f"retries must be at least 0, got {retries}")
    folder = SweepFolder(path)
    learns = plan.spec.search == "optuna"
    points = [] if learns else plan.points()
    if learns:
        plan.check_ends()
    shared = plan.shared()
    known = _check_there(folder, shared, None if learns else points)
    planned = [
        (point, plan.run(point, folder.runs))
        for point in points
        if run_name(point) not in known
    ]
    RunFolder(path).start(shared, resume=True)
    with driver_of(folder):
        # Another may have begun something else here before this one held the lock.
        RunFolder(path).start(shared, resume=True)
        (path / "jobs").mkdir(exist_ok=True)
        for point, run in planned:
            folder.write_plan(point, run)
        runs = {run_name(point): plan.epochs(point) for point in points}
        search = OptunaSearch(plan.spec, folder) if learns else None
        if search is None:
            folder.write_runs(runs)
        executor = place(folder)
        driver = _Driver(plan, folder, executor, search, retries, listener, runs)
        try:
            driver.drive()
        finally:
            executor.close()
        best = search.best(driver.done) if search else []
        return Outcome([driver.there[name] for name in driver.runs], best)


def _check_there(
    folder: SweepFolder, shared: dict[str, Any], points: list[Point] | None
) -> set[str]:
    """Checks that a sweep that is there stays whole; returns the runs that it planned.

    Raises:
        RunError: If what all runs share is another, or a run is left out.
    """
    if not (folder.path / "sweep.json").exists():
        return set()
    RunFolder(folder.path).start(shared, resume=True)
    there = folder.runs_planned()
    if points is not None:
        names = {run_name(point) for point in points}
        lost = [name for name in there if name not in names]
        if lost:
            raise RunError(
                f"{folder.path} holds runs that this sweep leaves out, {lost[0]} among "
                "them; a sweep may gain points, not lose them: take another folder"
            )
    return set(there)


@dataclass
class _Driver:
    """Hands runs over, hears of their ends, and hands over again what crashed."""

    plan: SweepPlan
    folder: SweepFolder
    executor: Executor
    search: OptunaSearch | None
    retries: int
    listener: Listener | None
    runs: dict[str, int]
    """Every run with its epochs."""
    begun: dict[str, int] = field(default_factory=dict)
    """How often each was handed over."""
    handed: dict[str, int] = field(default_factory=dict)
    """What is handed over now, with the number of attempts before that."""
    done: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """Results, and None of what has failed for good."""
    there: dict[str, Status] = field(default_factory=dict)
    """How the runs that are done stand."""

    def drive(self) -> None:
        """Drives until every run has a result, or has failed for good."""
        for name in self.runs:
            self._recall(name)
        # What an earlier process handed over goes on, where it can.
        for name in self.executor.active() & (self.runs.keys() - self.done.keys()):
            self._hand(name)
        spoken = 0.0
        while True:
            self._hear()
            self._ask()
            self._start()
            over = self.done.keys() == self.runs.keys()
            if self.listener and (over or time.monotonic() > spoken + 0.5):
                self.listener.stands(self._statuses())
                spoken = time.monotonic()
            if over and not (self.search and self.search.open):
                return
            if not over:
                time.sleep(self.executor.pause)

    def _hear(self) -> None:
        active = self.executor.active()
        for name in [name for name in self.handed if name not in active]:
            self._judge(name, self.handed.pop(name))
        for name in list(self.runs):
            if name in self.done or name in self.handed:
                continue
            # Of a worker that an earlier process left behind.
            result = self.folder.result(name)
            if result is not None:
                self._end(name, result)

    def _judge(self, name: str, before: int) -> None:
        """Finds out how an attempt ended, and whether there is to be another."""
        result = self.folder.result(name)
        if result is not None:
            self._end(name, result)
            return
        with lock(self.folder.job(name, ".lock"), seconds=1.0) as free:
            if not free:
                # Another process trains it, and nobody may train it beside that.
                self.begun[name] -= 1
                return
            last = self.folder.attempt(name)
            if last.number == before:
                # Ended before it began: what is written is of an attempt before it.
                last = Attempt(before)
            reason = last.failure or self.executor.reason(name)
            again = not last.by_user and self.begun[name] <= self.retries
            told = replace(last, failure=reason, again=again)
            self.folder.write_attempt(name, told)
        self._say(f"{name} failed{', is tried again' if again else ''}: {reason}")
        if not again:
            self._end(name, None)

    def _recall(self, name: str) -> None:
        """Takes the result that a run has from before, and says nothing of it."""
        result = self.folder.result(name)
        if result is not None:
            self._close(name, result)

    def _end(self, name: str, result: dict[str, Any] | None) -> None:
        self._close(name, result)
        if result is not None:
            self._say(f"{name}: {score_text(result)}")

    def _close(self, name: str, result: dict[str, Any] | None) -> None:
        self.done[name] = result
        self.there[name] = self.folder.status(name, self.runs[name])

    def _ask(self) -> None:
        """Asks the search for as many runs as can be trained at once."""
        if self.search is None:
            return
        self.search.told(self.done)
        while True:
            self.search.more(self.executor.jobs - len(self.search.open))
            for name, point in self.search.points.items():
                if name not in self.runs:
                    self._add(name, point)
            before = len(self.search.open)
            # A point that came again has its result already.
            self.search.told(self.done)
            if len(self.search.open) == before:
                return

    def _add(self, name: str, point: Point) -> None:
        """Plans a run that the search asks for."""
        failure, epochs = None, 0
        try:
            epochs = self.plan.epochs(point)
            if not self.folder.job(name, ".json").exists():
                self.folder.write_plan(point, self.plan.run(point, self.folder.runs))
        except UserError as error:
            # A corner of the space where there is no network.
            failure = str(error)
        self.runs[name] = epochs
        self.folder.write_runs(self.runs)
        self._recall(name)
        if failure is not None:
            told = Attempt(failure=failure, by_user=True)
            self.folder.write_attempt(name, told)
            self._say(f"{name} failed: {failure}")
            self._end(name, None)

    def _start(self) -> None:
        """Hands over what waits, as much as there is room for."""
        chosen: list[str] = []
        for name in self.runs:
            if len(chosen) >= self.executor.room:
                break
            waits = name not in self.done and name not in self.handed
            if not waits or self.folder.is_training(name):
                continue
            # Looked for last: it may have come from a worker that has just ended.
            if self.folder.result(name) is None:
                chosen.append(name)
        if chosen:
            for name in chosen:
                self._hand(name)
            self.executor.start(chosen)

    def _hand(self, name: str) -> None:
        self.handed[name] = self.folder.attempt(name).number
        self.begun[name] = self.begun.get(name, 0) + 1

    def _statuses(self) -> list[Status]:
        return [
            self.there.get(name) or self.folder.status(name, of)
            for name, of in self.runs.items()
        ]

    def _say(self, line: str) -> None:
        if self.listener:
            self.listener.said(line)
