"""Batches are shared, begun anywhere, and end with an error where a process dies."""

import csv
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

from ddw_graph.errors import RunError
from ddw_graph.training.augmentation import Augmentation
from ddw_graph.training.data import load_data
from ddw_graph.training.images import ArrayImages
from ddw_graph.training.keys import Key
from ddw_graph.training.loading import Waits, batches, worker_faults
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run import RunFolder
from tests.training.photographs import image_folder, shards
from tests.training.runs import Stop, StopAt, run, weights

FULL = Augmentation(random_erasing=0.5, rand_augment=9)


def ramp(count: int, size: int = 4) -> ArrayImages:
    pixels = torch.arange(count * size * size).reshape(count, 1, size, size) % 251
    return ArrayImages(pixels.byte(), torch.arange(count), [0.5], [0.25])


@given(
    count=st.integers(1, 30),
    batch_size=st.integers(1, 9),
    world_size=st.integers(1, 5),
    start=st.integers(0, 3),
    epoch=st.integers(0, 3),
)
def test_processes_share_the_batches_of_one(
    count: int, batch_size: int, world_size: int, start: int, epoch: int
) -> None:
    images, key = ramp(count), Key(0, epoch)

    def found(rank: int = 0, size: int = 1, start: int = 0) -> list[tuple[int, ...]]:
        loader = batches(
            images, batch_size, shuffle=key, rank=rank, world_size=size, start=start
        )
        return [tuple(labels.tolist()) for _, labels in loader]

    alone = found()
    assert found(start=start) == alone[start:]
    parts = [found(rank, world_size, start) for rank in range(world_size)]
    assert all(len(part) == len(alone[start:]) for part in parts)
    whole = [sum(step, ()) for step in zip(*parts, strict=True)]
    assert whole == alone[start:]


@pytest.mark.parametrize("kind", ["folder", "shards"])
def test_shared_images_are_augmented_as_those_of_one(tmp_path: Path, kind: str) -> None:
    (shards if kind == "shards" else image_folder)(tmp_path)
    images = load_data(kind, root=tmp_path, image_size=24).train
    key = Key(3, 1)

    def found(**options: Any) -> list[tuple[torch.Tensor, torch.Tensor]]:
        return list(
            batches(images, 5, shuffle=key, augment=True, augmentation=FULL, **options)
        )

    # Of 12 or 18 images the last batch has 2 or 3: too few for four processes.
    parts = [found(rank=rank, world_size=4, start=1) for rank in range(4)]
    for step, (x, labels) in enumerate(found()[1:]):
        assert torch.equal(torch.cat([part[step][0] for part in parts]), x)
        assert torch.equal(torch.cat([part[step][1] for part in parts]), labels)
    assert min(len(part[-1][1]) for part in parts) == 0


def test_batches_that_are_left_out_are_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = load_data("folder", root=image_folder(tmp_path), image_size=24).train
    read: list[int] = []
    inner = type(images).encoded  # type: ignore[attr-defined]

    def noted(self: object, index: int) -> object:
        read.append(index)
        return inner(self, index)

    monkeypatch.setattr(type(images), "encoded", noted)
    list(batches(images, 5, start=2))
    assert read == [10, 11]
    assert not list(batches(images, 5, start=3))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 2, "world_size": 2}, r"rank must be in \[0, 2\), got 2"),
        ({"rank": -1}, r"rank must be in \[0, 1\), got -1"),
        ({"start": -1}, "start must be at least 0, got -1"),
    ],
)
def test_names_what_it_rejects(options: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        next(batches(ramp(4), 2, **options))


def test_waits_count_the_time_of_what_is_waited_for_alone(
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


def test_the_log_tells_how_long_an_epoch_waited(tmp_path: Path) -> None:
    run(tmp_path / "a")
    with (tmp_path / "a" / "log.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    for row in rows:
        assert 0 < float(row["data_seconds"]) < float(row["train_seconds"])


def test_other_errors_keep_their_words() -> None:
    with pytest.raises(RuntimeError, match="^shapes"), worker_faults():
        raise RuntimeError("shapes do not fit")
    with pytest.raises(RunError, match="images has gone; .*killed by signal: Killed"):
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
    command = [sys.executable, "-m", "ddw_graph.cli.main", "train"]
    command += ["--data", "folder", "--root", str(root), "--image-size", "32"]
    command += ["--n", "3", "--channels", "4", "--epochs", "1000", "--augment"]
    command += ["--batch-size", "4", "--workers", "2", "--threads", "1"]
    command += ["--out", str(tmp_path / "run")]
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
        # After an epoch, so that there is something to go on with.
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
    told = "ddw-graph: a process that loads images has gone; the same command goes on"
    assert last.startswith(told)
    assert "Traceback" not in words
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_rand_augment_is_torchvisions_and_belongs_to_its_key() -> None:
    from torchvision.transforms import InterpolationMode, v2

    from ddw_graph.training.keys import Purpose

    images, key, seen = ramp(12, 16), Key(0, 3), []
    change = v2.RandAugment(magnitude=9, interpolation=InterpolationMode.BILINEAR)
    for index in range(12):
        torch.manual_seed(key.generator(Purpose.TRANSFORMS, index).initial_seed())
        seen.append(change(images.pixels[index]))
    changed = ArrayImages(torch.stack(seen), images.labels, [0.5], [0.25])
    assert (changed.pixels != images.pixels).flatten(1).any(1).sum() > 4
    x, _ = images.batch(range(12), key, Augmentation(rand_augment=9))
    assert torch.equal(x, changed.batch(range(12), key)[0])
    stronger, _ = images.batch(range(12), key, Augmentation(rand_augment=30))
    assert not torch.equal(stronger, x)


def test_a_recipe_without_rand_augment_is_that_of_earlier_versions() -> None:
    assert "rand_augment" not in Recipe().as_dict()
    assert Recipe(rand_augment=0).as_dict()["rand_augment"] == 0
    for value in (-1, 31):
        with pytest.raises(RunError, match=rf"in \[0, 30\], got {value}"):
            Recipe(rand_augment=value)
    for other in ({"augment": False}, {"trivial_augment": True}):
        with pytest.raises(RunError, match="rand_augment must be None without augment"):
            Recipe(rand_augment=9, **other)  # type: ignore[arg-type]


def test_a_checkpoint_of_an_earlier_version_goes_on(
    tmp_path: Path, whole: Path
) -> None:
    """Within an epoch, and without what the log tells since."""
    options: dict[str, Any] = {"checkpoint_steps": 2}
    with pytest.raises(Stop):
        run(tmp_path / "cut", listeners=[StopAt(2, 3)], **options)
    folder = RunFolder(tmp_path / "cut")
    state = folder.read_checkpoint()
    assert state["step"] and state["tally"].pop("bad") == 0
    assert state["tally"].pop("waited") > 0
    folder.write_checkpoint(state)
    run(tmp_path / "cut", resume=True, **options)
    found, wanted = weights(tmp_path / "cut"), weights(whole)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)
