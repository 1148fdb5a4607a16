"""Batches are shared, begun anywhere, and end with an error where a process dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import Dataset, TensorDataset

from ddw_graph.errors import DataError, LostError
from ddw_graph.training.data import load_data
from ddw_graph.training.keys import Key
from ddw_graph.training.loading import (
    Waits,
    batch_sizes,
    batches,
    training_batches,
    worker_faults,
)
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.world import World
from tests.training.photographs import image_folder, shards

FULL = Recipe(random_erasing=0.5, rand_augment=9)


def numbers(count: int) -> TensorDataset:
    """Returns a data set of which each sample is its index."""
    return TensorDataset(torch.arange(count))


@given(
    count=st.integers(1, 30),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 5),
    start=st.integers(0, 3),
    epoch=st.integers(0, 3),
    fewest=st.integers(0, 3),
)
def test_processes_share_the_batches_of_one(
    count: int, batch_size: int, world_size: int, start: int, epoch: int, fewest: int
) -> None:
    def found(start: int = 0, **options: Any) -> list[tuple[list[int], int]]:
        loader = training_batches(
            numbers(count), batch_size, Key(0, epoch), start=start, **options
        )
        return [(batch[0].tolist(), counted) for batch, counted in loader]

    alone, sizes = found(), batch_sizes(count, batch_size)
    assert all(len(batch) == counted for batch, counted in alone)
    assert [counted for _, counted in alone] == sizes
    # No batch is of one unless there is one.
    assert max(sizes) <= batch_size + 1 and (1 in (batch_size, count) or 1 not in sizes)
    assert found(start) == alone[start:]
    parts = [
        found(start, world=World(rank, world_size), fewest=max(1, fewest))
        for rank in range(world_size)
    ]
    for (whole, _), *shares in zip(alone[start:], *parts, strict=True):
        assert sum((batch[:counted] for batch, counted in shares), []) == whole
        for batch, counted in shares:
            # Where a share has too few, the first of the whole batch stand in.
            more = (whole * 3)[: max(0, max(1, fewest) - counted)]
            assert batch[counted:] == more


@given(st.integers(1, 30), st.integers(1, 9), st.integers(1, 5))
def test_evaluation_keeps_the_order_and_leaves_empty_shares_out(
    count: int, batch_size: int, world_size: int
) -> None:
    def found(rank: int = 0, size: int = 1) -> list[list[int]]:
        loader = batches(numbers(count), batch_size, world=World(rank, size))
        return [batch[0].tolist() for batch in loader]

    alone = found()
    assert sum(alone, []) == list(range(count))
    assert [len(batch) for batch in alone] == batch_sizes(count, batch_size)
    shares = [share for rank in range(world_size) for share in found(rank, world_size)]
    assert all(shares) and sorted(sum(shares, [])) == list(range(count))


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_shared_images_are_augmented_as_those_of_one(tmp_path: Path, kind: str) -> None:
    (shards if kind == "shards" else image_folder)(tmp_path)
    data = load_data(kind, root=tmp_path, image_size=24)
    dataset, key = data.train_inputs(FULL), Key(3, 1)

    def found(**options: Any) -> list[Any]:
        return list(training_batches(dataset, 5, key, **options))

    # Of 12 or 18 images the last batch has 2 or 3: too few for four processes.
    parts = [found(world=World(rank, 4), start=1) for rank in range(4)]
    for step, (wanted, _) in enumerate(found()[1:]):
        for place, whole in enumerate(wanted):
            shares = [batch[place][:count] for batch, count in (p[step] for p in parts)]
            assert torch.equal(torch.cat(shares), whole)
    assert min(part[-1][1] for part in parts) == 0


class Failing(Dataset[Any]):
    """Samples of which the fourth cannot be read."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Any:
        if index == 3:
            raise self.error
        return index


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("error", [DataError("no image"), LostError("not now")])
def test_errors_of_samples_come_as_they_were_raised(
    workers: int, error: Exception
) -> None:
    with pytest.raises(type(error), match=f"^{error}$"):
        list(batches(Failing(error), 2, workers=workers))
    with pytest.raises(type(error), match=f"^{error}$"):
        list(training_batches(Failing(error), 2, Key(0, 0), workers=workers))


def test_waits_count_the_time_that_is_waited(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def slow() -> Iterator[int]:
        for item in range(3):
            clock[0] += 1
            yield item
        clock[0] += 1

    waits = Waits(slow())
    for _ in waits:
        clock[0] += 10
    assert waits.seconds == 4


def test_other_errors_keep_their_message() -> None:
    with pytest.raises(RuntimeError, match="^shapes"), worker_faults():
        raise RuntimeError("shapes do not fit")
    with pytest.raises(LostError, match="images was killed; .*by signal: Killed"):
        with worker_faults():
            raise RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed.")


def children(pid: int) -> list[int]:
    return [
        int(child)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


@pytest.mark.full
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_killed_process_that_loads_ends_the_run_in_a_line(tmp_path: Path) -> None:
    root = image_folder(tmp_path / "data", each=100)
    command = [sys.executable, "-m", "ddw_graph.cli.main", "train", "--data", "folder"]
    command += "--image-size 32 --n 3 --channels 4 --epochs 1000 --batch-size 4".split()
    command += ["--set", "augment=true", "--workers", "2", "--threads", "1"]
    command += ["--root", str(root), "--out", str(tmp_path / "run")]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_WAIT_POLICY": "passive"},
    )
    try:
        until = time.monotonic() + 120
        # After an epoch, so that there is something to resume.
        while not (tmp_path / "run" / "checkpoint.pt").exists() or (
            len(workers := children(process.pid)) < 2
        ):
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.02)
        os.kill(workers[0], signal.SIGKILL)
        _, words = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 2
    last = words.strip().splitlines()[-1]
    assert last.startswith("ddw-graph: a process that loads images was killed; run")
    assert "Traceback" not in words
    assert (tmp_path / "run" / "checkpoint.pt").exists()
