"""An experiment has each result once, whatever fails, is killed, or comes again."""

import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.errors import LostError, RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.planned_run import PlannedRun, Work
from ddw_graph.experiments.processes import ProcessExecutor
from ddw_graph.experiments.table import graph_properties, table
from ddw_graph.experiments.worker import BUSY, attempt
from ddw_graph.training.lock import lock
from ddw_graph.training.run_folder import read_json
from tests.experiments.small import FIXED, experiment, plan, pretend

SEEDS: dict[str, Any] = {"axes": {"seed": [0, 1, 2]}}
NAMES = ["seed=0", "seed=1", "seed=2"]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlannedRun, "train", pretend)


def states(path: Path) -> dict[str, str]:
    return {status.run: status.state for status in ExperimentFolder(path).statuses()}


@pytest.mark.usefixtures("pretended")
def test_runs_each_once_and_grows_without_repeating(tmp_path: Path) -> None:
    outcome, started = experiment(SEEDS, tmp_path / "s")
    assert started == NAMES and not outcome.failed
    assert [row["run"] for row in table(ExperimentFolder(tmp_path / "s"))] == NAMES
    assert experiment(SEEDS, tmp_path / "s")[1] == []
    _, added = experiment({"axes": {"seed": [3, 0, 1, 2]}}, tmp_path / "s")
    assert added == ["seed=3"]
    rows = table(ExperimentFolder(tmp_path / "s"))
    assert [row["seed"] for row in rows] == [0, 1, 2, 3]
    # A plan with fewer runs loses none.
    outcome, started = experiment({"axes": {"seed": [1]}}, tmp_path / "s")
    assert [s.run for s in outcome.statuses] == ["seed=1"] and not started
    assert len(table(ExperimentFolder(tmp_path / "s"))) == 4


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fixed": {**FIXED, "epochs": 2}}, "fixed.epochs is 1 there, and 2 was asked"),
        ({"equal_macs": True}, "budget is None there"),
    ],
)
def test_another_experiment_in_the_same_folder_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    experiment(SEEDS, tmp_path / "s")
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    with pytest.raises(RunError, match=message):
        experiment({**SEEDS, **changes}, tmp_path / "s")
    after = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    assert after == before


def test_what_the_user_got_wrong_is_not_tried_again(tmp_path: Path) -> None:
    fixed = {**FIXED, "per_class": 2}
    rates = {"fixed": fixed, "axes": {"learning_rate": [0.01, 1e30]}}
    outcome, started = experiment(rates, tmp_path / "s", retries=3)
    assert started == ["learning_rate=0.01", "learning_rate=1e+30"]
    (failed,) = outcome.failed
    assert failed.run == "learning_rate=1e+30" and failed.state == "failed"
    assert "must stay finite" in str(failed.attempt.failure)
    assert len(table(ExperimentFolder(tmp_path / "s"))) == 1


@pytest.mark.parametrize(("crashes", "retries", "tries"), [(2, 2, 3), (9, 1, 2)])
@pytest.mark.parametrize("error", [MemoryError("no\nroom"), LostError("gone")])
def test_what_crashed_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    crashes: int,
    retries: int,
    tries: int,
) -> None:
    left = [crashes]

    def crash(run: PlannedRun, path: Path, work: Work) -> dict[str, Any]:
        if run.seed == 1 and left[0]:
            left[0] -= 1
            raise error
        return pretend(run, path, work)

    monkeypatch.setattr(PlannedRun, "train", crash)
    outcome, started = experiment(SEEDS, tmp_path / "s", retries=retries)
    assert started.count("seed=1") == tries and started.count("seed=2") == 1
    succeeded = tries > crashes
    assert [s.run for s in outcome.failed] == ([] if succeeded else ["seed=1"])
    last = ExperimentFolder(tmp_path / "s").attempt("seed=1")
    assert last.number == tries
    words = "gone" if isinstance(error, LostError) else "MemoryError: no room"
    assert last.failure == (None if succeeded else words)
    # The same command gives what failed another chance, and nothing else.
    left[0] = 0
    outcome, started = experiment(SEEDS, tmp_path / "s")
    assert started == ([] if succeeded else ["seed=1"]) and not outcome.failed


@pytest.mark.usefixtures("pretended")
def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    experiment(SEEDS, tmp_path / "s")
    with lock(tmp_path / "s" / "driver.lock"):
        with pytest.raises(RunError, match="is in use by process [0-9]+ on"):
            experiment(SEEDS, tmp_path / "s")
        # The other one has only just begun.
        (tmp_path / "s" / "driver.txt").unlink()
        with pytest.raises(RunError, match="is in use by another process"):
            experiment(SEEDS, tmp_path / "s")
    experiment(SEEDS, tmp_path / "s")


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize("file", ["jobs/seed=1.lock", "runs/seed=1/.lock"])
def test_what_another_process_trains_is_trained_by_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    from ddw_graph.experiments import worker

    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        experiment(SEEDS, path, stop_at=1)
    assert states(path) == {
        "seed=0": "finished",
        "seed=1": "waiting",
        "seed=2": "waiting",
    }
    taken, passed_by = threading.Event(), threading.Event()
    result = path / "runs" / "seed=1" / "result.json"

    def leftover() -> None:
        (path / file).parent.mkdir(exist_ok=True)
        with lock(path / file):
            taken.set()
            passed_by.wait()
            folder = ExperimentFolder(path)
            pretend(folder.plan("seed=1"), folder.run("seed=1"), Work())

    def another(run: PlannedRun, path: Path, work: Work) -> dict[str, Any]:
        passed_by.set()
        return pretend(run, path, work)

    monkeypatch.setattr(PlannedRun, "train", another)
    thread = threading.Thread(target=leftover)
    thread.start()
    taken.wait()
    assert states(path)["seed=1"] == "running"
    assert attempt(str(path), "seed=1", 1, Work("cpu")) == BUSY and not result.exists()
    try:
        outcome, started = experiment(SEEDS, path)
    finally:
        passed_by.set()
        thread.join()
    assert started == ["seed=2"] and not outcome.failed


@pytest.mark.usefixtures("pretended")
def test_a_run_that_is_taken_as_it_starts_is_no_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = tmp_path / "s", ExitStack()
    with pytest.raises(KeyboardInterrupt):
        experiment(SEEDS, path, stop_at=0)
    (path / "runs" / "seed=1").mkdir(parents=True)
    taken.enter_context(lock(path / "runs" / "seed=1" / ".lock"))
    codes: list[int] = []

    def freed(folder: str, name: str, *more: Any) -> None:
        if BUSY in codes:
            taken.close()
        codes.append(attempt(folder, name, *more))

    monkeypatch.setattr("tests.experiments.small.attempt", freed)
    monkeypatch.setattr(ExperimentFolder, "is_training", lambda *_: False)
    outcome, started = experiment(SEEDS, path, retries=0)
    assert not outcome.failed and codes.count(BUSY) == 1
    assert started.count("seed=1") == 2


def test_runs_share_cores_threads_and_gpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str | None] = []

    class Process:
        exitcode = None

        def __init__(self, target: Any, args: tuple[Any, ...]) -> None:
            started.append(args[1])

        def start(self) -> None:
            pass

    folder = ExperimentFolder(tmp_path)
    monkeypatch.setattr("ddw_graph.experiments.processes.cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    few = ProcessExecutor(folder, work=Work("cpu"), runs=2)
    assert (few.jobs, few.room, few.threads) == (2, 2, 1)
    assert ProcessExecutor(folder, 1).threads == torch.get_num_threads()
    assert ProcessExecutor(folder, 2, threads=3).threads == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert ProcessExecutor(folder, 2).threads == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert ProcessExecutor(folder).jobs == 2
    assert ProcessExecutor(folder, work=Work("cpu")).jobs == 8
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    shared = ProcessExecutor(folder, 4)
    monkeypatch.setattr(shared.context, "Process", Process)
    shared.start(["a", "b", "c"])
    del shared.processes["b"]
    shared.start(["d", "e"])
    assert started == ["3", "5", "3", "5", "5"]


@pytest.mark.usefixtures("pretended")
def test_a_run_that_was_killed_is_known_by_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        experiment(SEEDS, path, stop_at=0)
    from ddw_graph.experiments.folder import this_attempt

    ExperimentFolder(path).write_attempt("seed=1", this_attempt(1))
    (status,) = [s for s in ExperimentFolder(path).statuses() if s.run == "seed=1"]
    assert status.state == "failed"
    assert "it was killed" in str(status.attempt.failure)


def test_the_table_has_the_graphs() -> None:
    chain = {"fixed": {**FIXED, "n": 3, "wiring": "vgg"}, **SEEDS}
    wirings = plan(chain).run({"seed": 0}).model["wirings"]
    assert graph_properties(wirings) == {
        "clustering": 0.0,
        # 1 and 2 between neighbours and ends of a chain of three.
        "average_path_length": pytest.approx(4 / 3),
        "graph_edges": 4.0,
        "depth": 4.0,
        "fan_in": 1.0,
    }


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("jobs/seed=1.json", "{}", "must hold the plan of a run"),
        ("jobs/seed=1.state.json", "[]", "must hold an attempt"),
        ("runs.json", '{"../x": 1}', "must hold names of runs"),
        ("runs.json", "{", "must hold JSON"),
    ],
)
def test_a_damaged_folder_is_one_line(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    experiment(SEEDS, tmp_path / "s")
    (tmp_path / "s" / file).write_text(content)
    with pytest.raises(RunError, match=message):
        table(ExperimentFolder(tmp_path / "s"))
        ExperimentFolder(tmp_path / "s").statuses()
    assert read_json(tmp_path / "s" / "config.json")
