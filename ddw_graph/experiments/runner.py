"""Experiments: many runs, wherever they are trained, each result there exactly once."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from ddw_graph.errors import RunError, UserError
from ddw_graph.experiments.axes import Point
from ddw_graph.experiments.folder import (
    Attempt,
    ExperimentFolder,
    Status,
    only_driver,
)
from ddw_graph.experiments.plan import Plan, run_name
from ddw_graph.experiments.processes import Executor
from ddw_graph.experiments.search import OptunaSearch
from ddw_graph.training.lock import lock
from ddw_graph.training.log import score_text
from ddw_graph.training.run_folder import RunFolder


@runtime_checkable
class Listener(Protocol):
    """What is called while an experiment runs."""

    def statuses(self, statuses: Sequence[Status]) -> None:
        """Is called with the status of every run, several times a minute."""

    def line(self, line: str) -> None:
        """Is called with a line about something that happened."""


@dataclass(frozen=True)
class Outcome:
    """How an experiment ended.

    Args:
        statuses: The status of every run of the plan, in its order.
        best: Names of the best runs of a search.
    """

    statuses: list[Status]
    best: list[str]

    @property
    def failed(self) -> list[Status]:
        """The runs without a result."""
        return [status for status in self.statuses if status.state != "finished"]


def run_experiment(
    plan: Plan,
    path: Path,
    place: Callable[[ExperimentFolder], Executor],
    *,
    retries: int = 2,
    listener: Listener | None = None,
) -> Outcome:
    """Trains the runs that have no result yet, and returns how every run ended.

    Everything is planned, and so checked, before the first run starts. A run that fails
    ends no other. After any interruption the same call resumes: a run with a result is
    not repeated, one without resumes from its checkpoint, and one that another process
    trains is waited for.

    Args:
        path: Its folder: new, empty, or that of an experiment with the same data and
            fixed settings, which gains the runs that it does not have.
        place: Returns what trains the runs of a folder.
        retries: Further attempts at a run that crashed or was killed. A run whose
            settings are at fault is not tried again.

    Raises:
        UserError: If a run cannot be built, the folder holds something else or is in
            use, or the place refuses.
    """
    if retries < 0:
        raise RunError(f"retries must be at least 0, got {retries}")
    folder, shared = ExperimentFolder(path), plan.shared()
    known: dict[str, int] = {}
    if (path / "runs.json").exists():
        # Another experiment's folder is refused before networks are built.
        RunFolder(path).start(shared, resume=True)
        known = folder.planned()
    points = {run_name(point): point for point in plan.points()}
    planned = {n: plan.run(point) for n, point in points.items() if n not in known}
    RunFolder(path).start(shared, resume=True)
    with only_driver(folder):
        (path / "jobs").mkdir(exist_ok=True)
        for name, run in planned.items():
            folder.write_plan(name, run)
        runs = {name: plan.epochs(point) for name, point in points.items()}
        folder.add_planned(runs)
        is_search = plan.spec.search == "optuna"
        search = OptunaSearch(plan.spec, folder) if is_search else None
        executor = place(folder)
        driver = _Driver(plan, folder, executor, search, retries, listener, runs)
        try:
            driver.drive()
        finally:
            executor.close()
        best = search.best(driver.done) if search else []
        return Outcome([driver.ended[name] for name in driver.runs], best)


@dataclass
class _Driver:
    """Starts runs, notices their ends, and starts again what crashed."""

    plan: Plan
    folder: ExperimentFolder
    executor: Executor
    search: OptunaSearch | None
    retries: int
    listener: Listener | None
    runs: dict[str, int]
    """Every run with its epochs."""
    starts: dict[str, int] = field(default_factory=dict)
    """How often each was started."""
    active: dict[str, int] = field(default_factory=dict)
    """The runs that are started now, with the number of attempts before that."""
    done: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    """Results, and None for what has failed for good."""
    ended: dict[str, Status] = field(default_factory=dict)
    """The statuses of the runs that are done."""

    def drive(self) -> None:
        """Drives until every run has a result, or has failed for good."""
        for name in self.runs:
            self._take_result(name, report=False)
        # What an earlier process started continues, where it can.
        for name in self.executor.active() & (self.runs.keys() - self.done.keys()):
            self._begin(name)
        reported = 0.0
        while True:
            self._collect()
            self._ask()
            self._start()
            over = self.done.keys() == self.runs.keys()
            if self.listener and (over or time.monotonic() > reported + 0.5):
                self.listener.statuses(self._statuses())
                reported = time.monotonic()
            if over and not (self.search and self.search.open):
                return
            if not over:
                time.sleep(self.executor.pause)

    def _take_result(self, name: str, *, report: bool = True) -> bool:
        """Ends a run if it has a result, and returns whether it has."""
        result = self.folder.result(name)
        if result is not None:
            self._end(name, result)
            if report:
                self._report(f"{name}: {score_text(result)}")
        return result is not None

    def _end(self, name: str, result: dict[str, Any] | None) -> None:
        self.done[name] = result
        self.ended[name] = self.folder.status(name, self.runs[name])

    def _collect(self) -> None:
        active = self.executor.active()
        for name in [name for name in self.active if name not in active]:
            before = self.active.pop(name)
            if not self._take_result(name):
                self._fail(name, before)
        for name in self.runs.keys() - self.done.keys() - self.active.keys():
            # Of a worker that an earlier process left behind.
            self._take_result(name)

    def _fail(self, name: str, before: int) -> None:
        """Records how an attempt failed, and whether there will be another."""
        with lock(self.folder.job(name, ".lock"), seconds=1.0) as free:
            if not free or self.folder.is_taken(name):
                # Another process trains it, and only one may.
                self.starts[name] -= 1
                return
            last = self.folder.attempt(name)
            if last.number == before:
                # Ended before it began: what is written is of an attempt before it.
                last = Attempt(before)
            reason = last.failure or self.executor.reason(name)
            again = not last.by_user and self.starts[name] <= self.retries
            last = replace(last, failure=reason, again=again)
            self.folder.write_attempt(name, last)
        retry = ", and is tried again" if again else ""
        self._report(f"{name} failed{retry}: {reason}")
        if not again:
            self._end(name, None)

    def _ask(self) -> None:
        """Asks the search for as many runs as can be trained at once."""
        if self.search is None:
            return
        self.search.tell(self.done)
        while True:
            self.search.ask(self.executor.jobs - len(self.search.open))
            for name, point in self.search.points.items():
                if name not in self.runs:
                    self._add(name, point)
            before = len(self.search.open)
            # A point that came again has its result already.
            self.search.tell(self.done)
            if len(self.search.open) == before:
                return

    def _add(self, name: str, point: Point) -> None:
        """Plans a run that the search asks for."""
        failure, self.runs[name] = None, 0
        try:
            self.runs[name] = self.plan.epochs(point)
            if not self.folder.job(name, ".json").exists():
                self.folder.write_plan(name, self.plan.run(point))
        except UserError as error:
            # A corner of the space where there is no network.
            failure = str(error)
        self.folder.add_planned({name: self.runs[name]})
        self._take_result(name, report=False)
        if failure is not None:
            self.folder.write_attempt(name, Attempt(failure=failure, by_user=True))
            self._report(f"{name} failed: {failure}")
            self._end(name, None)

    def _start(self) -> None:
        """Starts what waits, as much as there is room for."""
        chosen: list[str] = []
        for name in self.runs:
            if len(chosen) >= self.executor.room:
                break
            waits = name not in self.done and name not in self.active
            if not waits or self.folder.is_training(name):
                continue
            # Read last: it may have come from a worker that has just ended.
            if self.folder.result(name) is None:
                chosen.append(name)
        if chosen:
            for name in chosen:
                self._begin(name)
            self.executor.start(chosen)

    def _begin(self, name: str) -> None:
        self.active[name] = self.folder.attempt(name).number
        self.starts[name] = self.starts.get(name, 0) + 1

    def _statuses(self) -> list[Status]:
        return [
            self.ended.get(name) or self.folder.status(name, of)
            for name, of in self.runs.items()
        ]

    def _report(self, line: str) -> None:
        if self.listener:
            self.listener.line(line)
