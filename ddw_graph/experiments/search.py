"""Searches that learn from results: optuna's, kept in the sweep's folder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ddw_graph.errors import RunError
from ddw_graph.experiments.axes import Point, Range, drawn
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.plan import run_name
from ddw_graph.experiments.spec import DIRECTIONS, Spec

POINT = "point"
"""The attribute of a trial that keeps its point."""


class OptunaSearch:
    """Asks optuna for points, and tells it their results.

    Its journal, ``optuna.log``, is lines of JSON. What the search does next follows
    only from the results in it: with one job, a search that was interrupted resumes as
    if it had not been. Only the process that drives the experiment may open it.

    Raises:
        RunError: If optuna is not there, or the journal is damaged.
    """

    def __init__(self, spec: Spec, folder: ExperimentFolder) -> None:
        optuna: Any
        try:
            import optuna
        except ImportError as error:
            raise RunError(
                "search optuna needs optuna: pip install 'ddw_graph[optuna]'"
            ) from error
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.optuna = optuna
        self.spec = spec
        path = folder.path / "optuna.log"
        if path.exists():
            # A process that was killed while writing leaves half a line.
            text = path.read_bytes()
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                with open(path, "r+b") as file:
                    file.truncate(len(whole))
        backend = optuna.storages.journal.JournalFileBackend(str(path), _no_lock())
        try:
            self.study = optuna.create_study(
                storage=optuna.storages.JournalStorage(backend),
                study_name="sweep",
                directions=[DIRECTIONS[name] for name in spec.objective],
                load_if_exists=True,
            )
            trials = self.study.trials
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{path} must be a journal of optuna: {error}") from error
        self.open: dict[int, str] = {}
        self.points: dict[str, Point] = {}
        for trial in trials:
            if trial.state is optuna.trial.TrialState.RUNNING:
                # Killed between the question and its answer, it is asked again.
                self._take(optuna.trial.Trial(self.study, trial._trial_id))
            elif POINT in trial.user_attrs:
                point = trial.user_attrs[POINT]
                self.points[run_name(point)] = point

    def ask(self, count: int) -> None:
        """Asks for trials, as many as ``count``, and not more than are wanted."""
        assert self.spec.trials is not None
        asked = len(self.study.trials)
        for number in range(asked, min(asked + count, self.spec.trials)):
            self.study.sampler = self._sampler(number)
            self._take(self.study.ask())

    def tell(self, results: Mapping[str, Mapping[str, Any] | None]) -> None:
        """Passes on the results of runs, None for one that failed."""
        failed = self.optuna.trial.TrialState.FAIL
        ended = {n: name for n, name in self.open.items() if name in results}
        for number, name in ended.items():
            result = results[name]
            if result is None:
                self.study.tell(number, state=failed)
            else:
                self.study.tell(number, [float(result[k]) for k in self.spec.objective])
            del self.open[number]

    def best(self, results: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
        """Returns the best run, or with two objectives those that none exceeds.

        Of runs, not of trials: one that had failed, and has a result since, counts.
        """
        signs = [1 if DIRECTIONS[o] == "maximize" else -1 for o in self.spec.objective]
        values = {
            name: [
                sign * float(result[objective])
                for sign, objective in zip(signs, self.spec.objective, strict=True)
            ]
            for name in self.points
            if (result := results.get(name)) is not None
        }

        def exceeds(one: list[float], other: list[float]) -> bool:
            pairs = list(zip(one, other, strict=True))
            return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)

        return [
            name
            for name, own in values.items()
            if not any(exceeds(other, own) for other in values.values())
        ]

    def _take(self, trial: Any) -> None:
        point = drawn(self.spec.axes, _OptunaChooser(trial))
        if POINT not in trial.user_attrs:
            trial.set_user_attr(POINT, point)
        name = run_name(point)
        self.open[trial.number] = name
        self.points[name] = point

    def _sampler(self, number: int) -> Any:
        # A sampler of its own for each trial: what it draws depends on no other's.
        seeds = np.random.SeedSequence([self.spec.search_seed, number])
        return self.optuna.samplers.TPESampler(seed=int(seeds.generate_state(1)[0]))


class _OptunaChooser:
    """Chooses as a trial suggests."""

    def __init__(self, trial: Any) -> None:
        self.trial = trial

    def choice(self, name: str, among: Sequence[str]) -> int:
        """Returns the index of one of the values."""
        return among.index(self.trial.suggest_categorical(name, list(among)))

    def number(self, name: str, among: Range) -> int | float:
        """Returns a number of a range."""
        low, high = among.low, among.high
        if among.whole:
            whole: int = self.trial.suggest_int(name, low, high, log=among.log)
            return whole
        found: float = self.trial.suggest_float(name, low, high, log=among.log)
        return among.rounded(found)


def _no_lock() -> Any:
    """Returns a lock that is always free.

    Whoever opens the journal holds the experiment's lock; optuna's outlives its owner.
    """
    from optuna.storages.journal import JournalFileOpenLock

    class NoLock(JournalFileOpenLock):
        def __init__(self) -> None:
            pass

        def acquire(self) -> bool:
            return True

        def release(self) -> None:
            pass

    return NoLock()
