"""A search with optuna resumes as if there had been no interruption."""

from pathlib import Path
from typing import Any

import pytest

from ddw_graph.errors import RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.planned_run import PlannedRun, Work
from ddw_graph.experiments.table import table
from ddw_graph.training.run_folder import RunFolder, read_json, write_json
from tests.experiments.small import FIXED, experiment, pretend

RATE = {"min": 0.001, "max": 0.1, "log": True}
SEARCH: dict[str, Any] = {
    "search": "optuna",
    "trials": 14,
    "axes": {"learning_rate": RATE, "edges": ["fixed", "learned"]},
}


@pytest.fixture(autouse=True)
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlannedRun, "train", pretend)


def names(path: Path) -> list[str]:
    return [row["run"] for row in table(ExperimentFolder(path))]


def test_resumes_with_the_trials_of_an_uninterrupted_search(tmp_path: Path) -> None:
    outcome, started = experiment(SEARCH, tmp_path / "whole")
    assert len(started) == 14 == len(set(started))
    rows = table(ExperimentFolder(tmp_path / "whole"))
    top = max(rows, key=lambda row: float(row["test_accuracy"]))
    assert outcome.best == [top["run"]]
    for stop in (1, 9):
        with pytest.raises(KeyboardInterrupt):
            experiment(SEARCH, tmp_path / "cut", stop_at=stop)
        # Killed while it wrote.
        with open(tmp_path / "cut" / "optuna.log", "ab") as journal:
            journal.write(b'{"op_code":6,"wor')
    _, last = experiment(SEARCH, tmp_path / "cut")
    assert names(tmp_path / "cut") == names(tmp_path / "whole") == started
    assert last == started[10:]
    more = experiment({**SEARCH, "trials": 16}, tmp_path / "cut")[1]
    assert len(more) == 2 and names(tmp_path / "cut") == [*started, *more]


def test_a_search_with_two_objectives_keeps_what_none_exceeds(tmp_path: Path) -> None:
    both = {**SEARCH, "objective": ["test_accuracy", "total_macs"], "trials": 4}
    outcome, _ = experiment(both, tmp_path / "s")
    # All cost the same here, so the most accurate one exceeds the others.
    rows = table(ExperimentFolder(tmp_path / "s"))
    top = max(rows, key=lambda row: float(row["test_accuracy"]))
    assert outcome.best == [top["run"]]
    with pytest.raises(RunError, match="objective is .* there"):
        experiment({**both, "objective": "test_accuracy"}, tmp_path / "s")


def test_a_point_that_comes_again_is_not_trained_again(tmp_path: Path) -> None:
    few = {**SEARCH, "axes": {"seed": [0, 1]}, "trials": 8}
    _, started = experiment(few, tmp_path / "s")
    assert sorted(started) == ["seed=0", "seed=1"]
    assert experiment(few, tmp_path / "s")[1] == []


def test_a_run_that_succeeds_later_may_be_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(run: PlannedRun, path: Path, work: Work) -> dict[str, Any]:
        if run.seed == 1:
            raise MemoryError("no room")
        return pretend(run, path, work) | {"test_accuracy": 0.1}

    few = {**SEARCH, "axes": {"seed": [0, 1]}, "trials": 8}
    with monkeypatch.context() as patched:
        patched.setattr(PlannedRun, "train", refuse)
        outcome, _ = experiment(few, tmp_path / "s", retries=0)
    assert [s.run for s in outcome.failed] == ["seed=1"] and outcome.best == ["seed=0"]
    result = RunFolder(tmp_path / "s" / "runs" / "seed=0").result_path
    write_json(result, read_json(result) | {"test_accuracy": 0.1})
    outcome, _ = experiment(few, tmp_path / "s")
    assert not outcome.failed and outcome.best == ["seed=1"]


def test_a_corner_without_a_network_ends_nothing(tmp_path: Path) -> None:
    family = {"generator": "ws", "k": [2, 4], "p": 0.5}
    corner = {"n": [8, 4], "wiring": [family]}
    fixed = {k: v for k, v in FIXED.items() if k not in ("n", "wiring")}
    outcome, _ = experiment({**SEARCH, "fixed": fixed, "axes": corner}, tmp_path / "s")
    (failed,) = outcome.failed
    assert failed.run == "n=4,wiring=ws_k=4_p=0.5" and failed.state == "failed"
    assert "k must be" in str(failed.attempt.failure)
    assert len(names(tmp_path / "s")) == 3
