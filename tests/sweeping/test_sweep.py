"""A sweep has each result once, whatever fails, is killed, or comes again."""

import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.errors import LostError, RunError
from ddw_graph.experiments.runs import PlannedRun
from ddw_graph.sweeping.executors import LocalExecutor
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.table import graph_properties, table
from ddw_graph.sweeping.worker import BUSY, Work, attempt
from ddw_graph.training.execution import Execution
from ddw_graph.training.lock import lock
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import read_json
from tests.sweeping.small import FIXED, plan, pretend, sweep

SEEDS: dict[str, Any] = {"axes": {"seed": [0, 1, 2]}}
NAMES = ["seed=0", "seed=1", "seed=2"]


@pytest.fixture
def pretended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PlannedRun, "train", pretend)


def states(path: Path) -> dict[str, str]:
    return {status.run: status.state for status in SweepFolder(path).statuses()}


def test_what_has_gone_is_no_mistake_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(run: PlannedRun) -> dict[str, Any]:
        raise LostError("a process that loads images has gone")

    monkeypatch.setattr(PlannedRun, "train", lose)
    outcome, started = sweep(SEEDS, tmp_path / "s", retries=1)
    assert [started.count(name) for name in NAMES] == [2, 2, 2]
    assert {str(s.attempt.failure) for s in outcome.failed} == {
        "a process that loads images has gone"
    }


@pytest.mark.usefixtures("pretended")
def test_runs_each_once_and_grows_without_repeating(tmp_path: Path) -> None:
    outcome, started = sweep(SEEDS, tmp_path / "s")
    assert started == NAMES and not outcome.failed
    assert [row["run"] for row in table(SweepFolder(tmp_path / "s"))] == NAMES
    assert sweep(SEEDS, tmp_path / "s")[1] == []
    _, added = sweep({"axes": {"seed": [3, 0, 1, 2]}}, tmp_path / "s")
    assert added == ["seed=3"]
    rows = table(SweepFolder(tmp_path / "s"))
    assert [row["seed"] for row in rows] == [3, 0, 1, 2]


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"axes": {"seed": [0, 1]}}, "this sweep leaves out, seed=2 among them"),
        ({"axes": {"seed": [0, 1, 2], "edges": ["fixed"]}}, "axes is .*'seed'"),
        ({"fixed": {**FIXED, "epochs": 2}}, "fixed.epochs is 1 there, and 2 was asked"),
        ({"equal_macs": True}, "equal_macs is None there"),
        ({"search": "random", "trials": 3}, "search is 'grid' there, and 'random'"),
    ],
)
def test_another_sweep_in_the_same_folder_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    sweep(SEEDS, tmp_path / "s")
    before = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    with pytest.raises(RunError, match=message):
        sweep({**SEEDS, **changes}, tmp_path / "s")
    after = {p: p.read_bytes() for p in (tmp_path / "s").rglob("*") if p.is_file()}
    assert after == before


def test_images_and_steps_are_as_the_file_says(tmp_path: Path) -> None:
    fixed = {**FIXED, "per_class": 5, "accumulate": 2, "precision": "bfloat16"}
    outcome, _ = sweep({"fixed": fixed, "axes": {"seed": [0]}}, tmp_path / "s")
    assert not outcome.failed
    config = Run(tmp_path / "s" / "runs" / "seed=0").config
    execution = Execution(accumulate=2, precision="bfloat16").as_dict()
    assert config["execution"] == {**execution, "processes": 1}
    assert config["data"]["per_class"] == 5


def test_each_run_has_the_processes_that_load_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[int] = []
    monkeypatch.setattr(PlannedRun, "train", lambda run: heard.append(run.workers))
    sweep(SEEDS, tmp_path / "s", retries=0)
    for name in NAMES:
        attempt(str(tmp_path / "s"), name, 1, Work("cpu", 2))
    assert heard == [0, 0, 0, 2, 2, 2]


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RunError, match="an empty or a new folder"):
        sweep(SEEDS, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_what_the_user_got_wrong_is_told_and_not_tried_again(tmp_path: Path) -> None:
    fixed = {**FIXED, "per_class": 2}
    rates = {"fixed": fixed, "axes": {"learning_rate": [0.01, 1e30]}}
    outcome, started = sweep(rates, tmp_path / "s", retries=3)
    assert started == ["learning_rate=0.01", "learning_rate=1e+30"]
    (failed,) = outcome.failed
    assert failed.run == "learning_rate=1e+30" and failed.state == "failed"
    assert "must stay finite" in str(failed.attempt.failure)
    assert len(table(SweepFolder(tmp_path / "s"))) == 1


@pytest.mark.parametrize(("crashes", "retries", "tries"), [(2, 2, 3), (9, 1, 2)])
def test_what_crashed_is_tried_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    crashes: int,
    retries: int,
    tries: int,
) -> None:
    left = [crashes]

    def crash(run: PlannedRun) -> dict[str, Any]:
        if run.seed == 1 and left[0]:
            left[0] -= 1
            raise MemoryError("no\nroom")
        return pretend(run)

    monkeypatch.setattr(PlannedRun, "train", crash)
    outcome, started = sweep(SEEDS, tmp_path / "s", retries=retries)
    assert started.count("seed=1") == tries and started.count("seed=2") == 1
    succeeded = tries > crashes
    assert [s.run for s in outcome.failed] == ([] if succeeded else ["seed=1"])
    last = SweepFolder(tmp_path / "s").attempt("seed=1")
    assert last.number == tries
    assert last.failure == (None if succeeded else "MemoryError: no room")
    # The same command gives what failed another chance, and nothing else.
    left[0] = 0
    outcome, started = sweep(SEEDS, tmp_path / "s")
    assert started == ([] if succeeded else ["seed=1"]) and not outcome.failed


@pytest.mark.usefixtures("pretended")
def test_a_second_driver_is_refused(tmp_path: Path) -> None:
    sweep(SEEDS, tmp_path / "s")
    with lock(SweepFolder(tmp_path / "s").driver_lock):
        with pytest.raises(RunError, match="is being swept by process [0-9]+ on"):
            sweep(SEEDS, tmp_path / "s")
    sweep(SEEDS, tmp_path / "s")


@pytest.mark.usefixtures("pretended")
def test_what_a_leftover_worker_trains_is_trained_by_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ddw_graph.sweeping import worker

    monkeypatch.setattr(worker, "PATIENCE", 0.0)
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        sweep(SEEDS, path, stop_at=1)
    assert states(path) == {
        "seed=0": "finished",
        "seed=1": "waiting",
        "seed=2": "waiting",
    }
    taken, passed_by = threading.Event(), threading.Event()
    result = path / "runs" / "seed=1" / "result.json"

    def leftover() -> None:
        with lock(SweepFolder(path).job("seed=1", ".lock")):
            taken.set()
            passed_by.wait()
            pretend(SweepFolder(path).plan("seed=1")[1])

    def another(run: PlannedRun) -> dict[str, Any]:
        passed_by.set()
        return pretend(run)

    monkeypatch.setattr(PlannedRun, "train", another)
    thread = threading.Thread(target=leftover)
    thread.start()
    taken.wait()
    assert states(path)["seed=1"] == "running"
    assert attempt(str(path), "seed=1", 1, Work("cpu")) == BUSY and not result.exists()
    try:
        outcome, started = sweep(SEEDS, path)
    finally:
        passed_by.set()
        thread.join()
    assert started == ["seed=2"] and not outcome.failed


def test_each_worker_has_its_share_of_cores_and_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, str]] = []

    class Worker:
        def __init__(self, words: list[str], env: dict[str, str], **_: Any) -> None:
            started.append((words[-2], env.get("CUDA_VISIBLE_DEVICES", "")))

    monkeypatch.setattr("ddw_graph.sweeping.executors.subprocess.Popen", Worker)
    monkeypatch.setattr("ddw_graph.sweeping.executors.cores", lambda: 8)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    folder = SweepFolder(tmp_path)
    (tmp_path / "jobs").mkdir()
    few = LocalExecutor(folder, work=Work("cpu"), runs=2)
    few.start(["a", "b"])
    assert few.room == 0 and started == [("4", ""), ("4", "")]
    started.clear()
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert LocalExecutor(folder).jobs == 2 and LocalExecutor(folder, 4).jobs == 4
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3,5")
    shared = LocalExecutor(folder, 4)
    shared.start(["a", "b", "c"])
    del shared.processes["b"]
    shared.start(["d", "e"])
    assert started == [("2", gpu) for gpu in ("3", "5", "3", "5", "5")]


@pytest.mark.usefixtures("pretended")
def test_a_run_that_was_killed_is_known_by_its_lock(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with pytest.raises(KeyboardInterrupt):
        sweep(SEEDS, path, stop_at=0)
    from ddw_graph.sweeping.folder import this_attempt

    SweepFolder(path).write_attempt("seed=1", this_attempt(1))
    (status,) = [s for s in SweepFolder(path).statuses() if s.run == "seed=1"]
    assert status.state == "failed"
    assert "ended from outside" in str(status.attempt.failure)


def test_the_table_has_the_graphs(tmp_path: Path) -> None:
    chain = {"fixed": {**FIXED, "n": 3, "wiring": "vgg"}, **SEEDS}
    wirings = plan(chain).run({"seed": 0}, tmp_path).model["wirings"]
    assert graph_properties(wirings) == {
        "clustering": 0.0,
        # 1 and 2 between neighbours and ends of a chain of three.
        "average_path_length": pytest.approx(4 / 3),
        "graph_edges": 4.0,
        "depth": 4.0,
        "fan_in": 1.0,
    }


@pytest.mark.full
def test_a_worker_ends_with_its_driver(tmp_path: Path) -> None:
    path = tmp_path / "s"
    long = {"fixed": {**FIXED, "epochs": 10_000}, "axes": {"seed": [0]}}
    with pytest.raises(KeyboardInterrupt):
        sweep(long, path, stop_at=0)
    words = [str(path), "seed=0", "1", '{"device": "cpu"}']
    command = [sys.executable, "-m", "ddw_graph.sweeping.worker", *words]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as worker:
        try:
            until = time.monotonic() + 180
            # It holds the lock a moment earlier, and killed then it made no attempt.
            while not SweepFolder(path).attempt("seed=0").number:
                assert time.monotonic() < until
                time.sleep(0.05)
            assert states(path)["seed=0"] == "running"
            assert worker.poll() is None and worker.stdin is not None
            worker.stdin.close()
            assert worker.wait(30) == 1
        finally:
            worker.kill()
    assert states(path)["seed=0"] == "failed"


@pytest.mark.usefixtures("pretended")
@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("jobs/seed=1.json", "{}", "must hold the plan of a run"),
        ("jobs/seed=1.state.json", "[]", "must hold an attempt"),
        ("sweep.json", '{"runs": {"../x": 1}}', "must hold a sweep's runs"),
        ("sweep.json", "{", "must hold JSON"),
    ],
)
def test_a_damaged_folder_is_one_line(
    tmp_path: Path, file: str, content: str, message: str
) -> None:
    sweep(SEEDS, tmp_path / "s")
    (tmp_path / "s" / file).write_text(content)
    with pytest.raises(RunError, match=message):
        table(SweepFolder(tmp_path / "s"))
        SweepFolder(tmp_path / "s").statuses()
    assert read_json(tmp_path / "s" / "config.json")
