"""What every test needs: one thread, the same random numbers, few images."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Before torch is imported anywhere, also in the processes that tests start.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import numpy as np
import pytest
import torch
from hypothesis import settings

for profile, examples in (("default", 8), ("full", 60)):
    settings.register_profile(
        profile, deadline=None, max_examples=examples, derandomize=True
    )
torch.set_num_threads(1)

PROCESSES: list[Any] = []
"""What trains the runs of an experiment outside of tests."""


def pytest_configure(config: pytest.Config) -> None:
    """Loads the tier's profile of hypothesis."""
    settings.load_profile("full" if of_full_tier(config) else "default")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(
    config: pytest.Config, items: list[pytest.Item]
) -> None:
    """Draws more examples of each property in the full tier."""
    for item in items if of_full_tier(config) else ():
        if getattr(getattr(item, "obj", None), "is_hypothesis_test", False):
            item.add_marker("full")


def of_full_tier(config: pytest.Config) -> bool:
    """Returns whether tests of the full tier are asked for."""
    return "not full" not in str(config.getoption("markexpr"))


@pytest.fixture(autouse=True)
def seed_of_torch() -> None:
    """Starts each test with the same random numbers."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def few_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns the first images of each class in the package, in a file like its own."""
    from ddw_graph.training.data import EMBEDDED

    path = tmp_path_factory.mktemp("images") / "images.npz"
    arrays = {}
    with np.load(EMBEDDED, allow_pickle=False) as whole:
        for part, each in (("train", 20), ("test", 10)):
            labels = whole[f"{part}_labels"]
            kept = [np.flatnonzero(labels == k)[:each] for k in range(10)]
            chosen = np.sort(np.concatenate(kept))
            for name in (f"{part}_images", f"{part}_labels"):
                arrays[name] = whole[name][chosen]
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="package", autouse=True)
def cheap_training(few_images: Path) -> Iterator[None]:
    """Makes trainings cheap.

    ``fashion_mnist_mini`` is 200 images to train on and 100 to test on (see
    ``all_images``), the runs of an experiment train in this process (see
    ``real_processes``), and MACs of networks that are alike are counted once, which
    takes as long as an epoch here. Shared fixtures train too, hence the scope; the
    doctests in ``ddw_graph`` are outside of it.
    """
    from ddw_graph.experiments import processes
    from ddw_graph.nn.cost import NetworkCost, cost
    from ddw_graph.nn.network import Network
    from tests.experiments.small import InThisProcess

    PROCESSES.append(processes.ProcessExecutor)

    known: dict[tuple[str, str, int], NetworkCost] = {}

    def counted_once(model: Network, image_size: int = 224) -> NetworkCost:
        alike = json.dumps(model.config), repr(model), image_size
        if alike not in known:
            known[alike] = cost(model, image_size)
        return known[alike]

    with pytest.MonkeyPatch.context() as patch:
        for module in ("evaluation", "image_data", "text_data"):
            patch.setattr(f"ddw_graph.training.{module}.cost", counted_once)
        patch.setattr("ddw_graph.training.data.EMBEDDED", few_images)
        patch.setattr("ddw_graph.experiments.processes.ProcessExecutor", InThisProcess)
        yield


@pytest.fixture
def real_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets the runs of an experiment train in processes of their own."""
    from ddw_graph.experiments import processes

    monkeypatch.setattr(processes, "ProcessExecutor", PROCESSES[0])


@pytest.fixture
def all_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets ``fashion_mnist_mini`` be all the images in the package."""
    from ddw_graph.training import data

    whole = Path(data.__file__).parent / "fashion_mnist" / "images.npz"
    monkeypatch.setattr(data, "EMBEDDED", whole)
