"""Experiments small enough for a test: tiny images, and runs that pretend to train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.plan import Plan
from ddw_graph.experiments.planned_run import PlannedRun, Work
from ddw_graph.experiments.runner import Outcome, run_experiment
from ddw_graph.experiments.spec import spec_of
from ddw_graph.experiments.worker import attempt
from ddw_graph.training.data import load_data
from ddw_graph.training.run_folder import RunFolder, write_json

FIGURES = (
    *("test_accuracy", "test_loss", "train_loss", "train_seconds", "parameters"),
    *("total_macs", "expected_macs"),
)
RESULT: dict[str, Any] = dict.fromkeys(FIGURES, 1.0) | {"epochs": 1, "model_sha256": ""}
"""The result of a run."""

FIXED = {"n": 2, "channels": 4, "epochs": 1, "batch_size": 8, "wiring": "complete"}


def images(root: Path) -> Path:
    """Makes a folder of two classes of small images, and returns it."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 12), ("val", 4)):
        for name in "ab":
            (root / split / name).mkdir(parents=True)
            for place in range(count):
                pixels = generator.integers(256, size=(12, 12, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(root / split / name / f"{place}.png")
    return root


def plan(table: dict[str, Any]) -> Plan:
    """Returns the plan of an experiment, on the images in the package."""
    return Plan(spec_of({"fixed": FIXED, **table}), load_data())


class InThisProcess:
    """Makes each attempt in this process at once: a process costs seconds to start.

    Args:
        folder: The experiment.
        jobs: Ignored, as ``threads`` and ``runs``.
        work: How each is trained.
        stop_at: Number of attempts before an interruption.
    """

    jobs = 1
    pause = 0.01
    room = 1

    def __init__(
        self,
        folder: ExperimentFolder,
        jobs: int | None = None,
        work: Work = Work("cpu"),  # noqa: B008 (frozen)
        *,
        runs: int | None = None,
        threads: int | None = None,
        stop_at: int | None = None,
    ) -> None:
        self.folder = folder
        self.work = work
        self.stop_at = stop_at
        self.started: list[str] = []

    def start(self, names: Sequence[str]) -> None:
        """Trains."""
        for name in names:
            if len(self.started) == self.stop_at:
                raise KeyboardInterrupt
            self.started.append(name)
            attempt(str(self.folder.path), name, 1, self.work)

    def active(self) -> set[str]:
        """Returns nothing: everything has ended."""
        return set()

    def reason(self, name: str) -> str:
        """Returns nothing of use."""
        return "unknown"

    def close(self) -> None:
        """Has nothing to do."""


def experiment(
    table: dict[str, Any], path: Path, stop_at: int | None = None, **options: Any
) -> tuple[Outcome, list[str]]:
    """Runs an experiment in this process; returns how it ended, and what it started."""
    places: list[InThisProcess] = []

    def place(folder: ExperimentFolder) -> InThisProcess:
        places.append(InThisProcess(folder, stop_at=stop_at))
        return places[0]

    return run_experiment(plan(table), path, place, **options), places[0].started


def pretend(run: PlannedRun, path: Path, work: Work) -> dict[str, Any]:
    """Writes a result that follows from the recipe, in place of training."""
    folder = RunFolder(path)
    folder.start({"seed": run.seed}, resume=True)
    off = abs(run.recipe.learning_rate - 0.05)
    result = RESULT | {"test_accuracy": 0.9 - off}
    write_json(folder.result_path, result)
    return result
