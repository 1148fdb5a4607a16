"""A training that several processes may share, to the last digit that one finds.

In float64 with group normalisation, which sees a sample at a time, what is computed
does not depend on who computes it, but for the order of sums.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ddw_graph.models import from_config
from ddw_graph.nn.network import Network
from ddw_graph.training.classification import Classification
from ddw_graph.training.execution import Execution
from ddw_graph.training.log import Row
from ddw_graph.training.loop import Training, fit
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.world import World, joined
from tests.training.small import small_config, small_data

ROOT = Path(__file__).parents[2]
ALONE = World()
IMAGES = 42
"""Of which batches of 10 leave two: too few for three processes."""


def network(edges: str = "dynamic") -> Network:
    """Returns a small network in float64 without batch normalisation."""
    torch.manual_seed(0)
    model = from_config(small_config(edges))
    for module in list(model.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.GroupNorm(1, child.num_features))
    return model.double()


def weights_after(
    folder: Path, world: World = ALONE, *, epochs: int = 2, **options: Any
) -> dict[str, torch.Tensor]:
    """Trains it, and returns its weights."""
    model = network(options.pop("edges", "dynamic"))
    recipe = recipe_named("small", epochs=epochs, batch_size=10, augment=True)
    run = RunFolder(folder)
    with world.together():
        if world.leads:
            run.start({}, resume=True)
    task = Classification(model, small_data(IMAGES), recipe)
    fit(Training(task, 0, run, world=world, **options))
    return model.state_dict()


def assert_near(
    found: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]
) -> None:
    """Asserts that weights differ by the order of sums alone."""
    for name, tensor in wanted.items():
        assert tensor.dtype in (torch.float64, torch.int64)
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=1e-10)


class Pid:
    """Keeps the number of the process and its last step in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        self.path.write_text(f"{os.getpid()} {epoch} {step}")
        time.sleep(0.02)  # time enough for somebody to kill it

    def epoch(self, row: Row) -> None:
        pass


def rank_files(folder: Path, count: int) -> list[Path]:
    return [folder.parent / f"{folder.name}-rank-{rank}" for rank in range(count)]


def start(
    folder: Path, count: int, *, epochs: int = 2, timeout: float = 60.0
) -> list["subprocess.Popen[str]"]:
    """Starts the processes that share a training, as a launcher would."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "tests.training.several", str(folder)]
    command += [str(epochs), str(timeout)]
    shared = {"WORLD_SIZE": str(count), "MASTER_ADDR": "127.0.0.1"}
    shared |= {"MASTER_PORT": str(port), "PYTHONPATH": str(ROOT)}
    return [
        subprocess.Popen(
            command,
            cwd=ROOT,
            env=os.environ | shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(count)
    ]


def wait_for_step(folder: Path, count: int, epoch: int, step: int) -> list[int]:
    """Waits until every process is that far, and returns their numbers."""
    until = time.monotonic() + 120
    while time.monotonic() < until:
        files = rank_files(folder, count)
        found = [f.read_text().split() if f.exists() else [] for f in files]
        if all(len(t) == 3 and (int(t[1]), int(t[2])) >= (epoch, step) for t in found):
            return [int(t[0]) for t in found]
        time.sleep(0.01)
    raise AssertionError(f"no training after two minutes: {found}")


def main() -> None:
    """Takes part in a training: FOLDER EPOCHS TIMEOUT."""
    folder, epochs, timeout = Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(1)
    with joined(timeout=timeout) as world:
        weights_after(
            folder,
            world,
            epochs=epochs,
            execution=Execution(),
            listeners=[Pid(rank_files(folder, world.size)[world.rank])],
            checkpoint_steps=2,
        )


if __name__ == "__main__":
    main()
