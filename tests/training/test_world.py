"""Processes that train together do what one would, and end together."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddw_graph.errors import RunError
from ddw_graph.training.collection import open_collection
from ddw_graph.training.launch import start_together
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.world import World, device_of, joined
from tests.training import several
from tests.training.runs import same


@contextmanager
def ended(processes: list["subprocess.Popen[str]"]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.communicate()


def kept(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = RunFolder(folder).read_checkpoint()["model"]
    return state


@pytest.mark.full
@pytest.mark.parametrize("count", [2, 3])
def test_several_processes_give_the_weights_of_one(tmp_path: Path, count: int) -> None:
    processes = several.start(tmp_path / "shared", count)
    with ended(processes):
        for process in processes:
            assert process.wait(120) == 0
    alone = several.weights_after(tmp_path / "alone")
    several.assert_near(kept(tmp_path / "shared"), alone)
    shared, own = (open_collection(tmp_path / name) for name in ("shared", "alone"))
    np.testing.assert_allclose(shared.rows(), own.rows(), rtol=1e-6)
    for column in ("label", "prediction"):
        assert shared.column(column).tolist() == own.column(column).tolist()
    moved = several.network().state_dict()
    assert not all(torch.equal(moved[name], alone[name]) for name in alone)


def test_what_follows_is_handed_over_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """NCCL, which is not on every machine, refuses a tensor that is a transpose."""

    def broadcast(tensor: torch.Tensor, source: int) -> None:
        assert tensor.is_contiguous() and source == 0
        tensor.copy_(torch.arange(float(tensor.numel())).view_as(tensor))

    monkeypatch.setattr("torch.distributed.broadcast", broadcast)
    turned, plain = torch.zeros(3, 2).T, torch.zeros(2)
    World(1, 2).follow(iter([turned, plain]))
    assert turned.tolist() == [[0, 1, 2], [3, 4, 5]] and plain.tolist() == [0, 1]
    model = several.network()
    assert all(buffer.is_contiguous() for buffer in model.buffers())


@pytest.mark.full
def test_a_killed_process_ends_the_others_and_they_resume(tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    processes = several.start(folder, 2)
    with ended(processes):
        # The second epoch's third step: a checkpoint was written after its second.
        pids = several.wait_for_step(folder, 2, 2, 3)
        os.kill(pids[1], signal.SIGKILL)
        assert processes[0].wait(60) != 0
        assert processes[0].stderr
        assert "LostError" in processes[0].stderr.read()
    assert RunFolder(folder).read_checkpoint()["step"] in (2, 4)
    again = several.start(folder, 2)
    whole = several.start(tmp_path / "whole", 2)
    with ended(again + whole):
        for process in again + whole:
            assert process.wait(120) == 0
    resumed, uninterrupted = kept(folder), kept(tmp_path / "whole")
    assert same(resumed, uninterrupted)


@pytest.mark.full
def test_a_silent_process_is_waited_for_until_the_timeout(tmp_path: Path) -> None:
    processes = several.start(tmp_path / "shared", 2, epochs=50, timeout=5)
    with ended(processes):
        pids = several.wait_for_step(tmp_path / "shared", 2, 1, 1)
        os.kill(pids[1], signal.SIGSTOP)
        assert processes[0].wait(60) != 0
        assert processes[0].stderr
        assert "was silent for 5 s; start again" in processes[0].stderr.read()


@pytest.mark.full
@pytest.mark.parametrize("count", [1, 2])
def test_the_launcher_takes_its_processes_along(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-m", "torch.distributed.run"]
    command += ["--nproc-per-node", str(count)]
    command += ["--master-port", "0", "--rdzv-backend", "c10d"]
    command += ["--rdzv-endpoint", "127.0.0.1:0", "-m", "tests.training.several"]
    command += [str(tmp_path / "shared"), "500", "60"]
    launcher = subprocess.Popen(
        command, cwd=several.ROOT, stderr=subprocess.DEVNULL, text=True
    )
    with ended([launcher]):
        pids = several.wait_for_step(tmp_path / "shared", count, 1, 1)
        launcher.kill()
        launcher.wait()
        until = time.monotonic() + 30
        while any(map(runs, pids)) and time.monotonic() < until:
            time.sleep(0.1)
        assert not any(map(runs, pids))


def runs(pid: int) -> bool:
    """Returns whether a process is there and has not ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


STEP = {"SLURM_STEP_NUM_TASKS": "2"}
PLACE = {"SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_JOB_ID": "1"}


@pytest.mark.parametrize(
    ("environment", "options", "message"),
    [
        ({}, {"size": 16}, "16 processes were asked for, got 1: start them with"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, {"size": 4}, "4 processes were .*, got 2"),
        # A batch script of Slurm's is one process, however many its job has.
        ({**PLACE, "SLURM_NTASKS": "8"}, {"size": 8}, "8 processes .* got 1"),
        ({"RANK": "x", "WORLD_SIZE": "2"}, {}, "must be numbers, got ValueError"),
        (STEP, {}, "must be numbers, got KeyError"),
        (STEP | PLACE | {"SLURM_STEP_NODELIST": ""}, {}, "^the machines of a Slurm"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, {}, "less than .*, got 2 of 2"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, {}, "at least 0 .*, got -1 of 2"),
        ({}, {"timeout": 1e300}, r"in \(0, 1e\+06\] s, got 1e\+300"),
        ({}, {"timeout": 0}, r"in \(0, 1e\+06\] s, got 0"),
    ],
)
def test_names_what_it_rejects(
    environment: dict[str, str], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        with joined(environment=environment, **options):
            pass


@pytest.mark.parametrize("port", [None, "x", "22222222"])
def test_the_launcher_must_name_where_processes_meet(
    port: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    if port:
        monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
        monkeypatch.setenv("MASTER_PORT", port)
    with pytest.raises(RunError, match="^MASTER_ADDR and MASTER_PORT must be where"):
        with joined(environment={"RANK": "0", "WORLD_SIZE": "2"}):
            pass


def test_each_process_of_a_machine_needs_its_gpu() -> None:
    with joined(environment={}) as world:
        assert world.leads and device_of("cuda", world) == "cuda"
    few = World(rank=200, size=201, local_rank=200)
    with pytest.raises(RunError, match="needs a GPU of its own, got .* process 200"):
        device_of("cuda", few)
    assert device_of("cpu", few) == "cpu"


@dataclass(frozen=True)
class Two(World):
    """The first of two processes; ``change`` is what the other's values add."""

    change: tuple[int, ...] = (0, 0, 0)

    def total(self, values: torch.Tensor) -> torch.Tensor:
        values *= 2
        if values.shape == (3,):
            values += torch.tensor(self.change)
        return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((1, 0, 0), "on a file system that all of them see"),
        ((0, 0, -2), "same steps, got checkpoint_steps 2 in this"),
    ],
)
def test_processes_resume_alike(
    tmp_path: Path, change: tuple[int, ...], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        world = Two(size=2, change=change)
        several.weights_after(tmp_path / "a", world, checkpoint_steps=2)


class Apart(World):
    """One of several processes that has nobody to talk to."""

    def total(self, values: torch.Tensor) -> torch.Tensor:
        return values


def test_what_each_process_is_to_train_must_be_the_same(tmp_path: Path) -> None:
    folder, missing = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "elsewhere")
    folder.start({"seed": 1}, resume=False)
    follower = Apart(rank=1, size=2)
    with start_together(folder, {"seed": 1}, follower, "cpu", resume=False):
        pass
    for run, message in (
        (folder, "another configuration: seed is 1 there, and 2"),
        (missing, "must hold config.json, got .*elsewhere"),
    ):
        with pytest.raises(RunError, match=message):
            with start_together(run, {"seed": 2}, follower, "cpu", resume=False):
                pass
    assert not missing.path.exists()
