"""Sweeps small enough for a test: tiny images, and runs that only pretend to train."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ddw_graph.experiments.runs import PlannedRun
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.plan import SweepPlan
from ddw_graph.sweeping.spec import spec_of
from ddw_graph.sweeping.sweep import Outcome, run_sweep
from ddw_graph.sweeping.worker import Work, attempt
from ddw_graph.training.data import DataSource
from ddw_graph.training.run_folder import RunFolder, write_json

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


def plan(table: dict[str, Any]) -> SweepPlan:
    """Returns the plan of a sweep, on the images in the package."""
    table = {"fixed": FIXED, **table}
    return SweepPlan(spec_of(table), DataSource().load())


class Here:
    """Makes each attempt in this process, one after the other."""

    jobs = 1
    pause = 0.01
    room = 1

    def __init__(self, folder: SweepFolder, stop_at: int | None = None) -> None:
        self.folder = folder
        self.stop_at = stop_at
        self.started: list[str] = []

    def start(self, names: Sequence[str]) -> None:
        """Trains."""
        for name in names:
            if len(self.started) == self.stop_at:
                raise KeyboardInterrupt
            self.started.append(name)
            attempt(str(self.folder.path), name, 1, Work("cpu"))

    def active(self) -> set[str]:
        """Returns nothing: everything has ended."""
        return set()

    def reason(self, name: str) -> str:
        """Returns nothing that is of use."""
        return "unknown"

    def close(self) -> None:
        """Has nothing to do."""


def sweep(
    table: dict[str, Any], path: Path, stop_at: int | None = None, **options: Any
) -> tuple[Outcome, list[str]]:
    """Runs a sweep in this process; returns what it came to, and what it started."""
    places: list[Here] = []

    def place(folder: SweepFolder) -> Here:
        places.append(Here(folder, stop_at))
        return places[0]

    return run_sweep(plan(table), path, place, **options), places[0].started


def pretend(run: PlannedRun) -> dict[str, Any]:
    """Writes a result that follows from the recipe, in place of training."""
    folder = RunFolder(run.folder)
    folder.start({"seed": run.seed}, resume=True)
    off = abs(run.recipe.learning_rate - 0.05)
    figures = (
        *("test_loss", "train_loss", "train_seconds", "parameters"),
        *("macs", "total_macs", "expected_macs"),
    )
    result = dict.fromkeys(figures, 1.0) | {"test_accuracy": 0.9 - off, "epochs": 1}
    write_json(folder.result_path, {**result, "model_sha256": ""})
    return result
