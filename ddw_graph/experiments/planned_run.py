"""A run of an experiment before it is trained: data that any process can read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ddw_graph.experiments.axes import Point
from ddw_graph.models import from_config
from ddw_graph.training.data import DataSource, load_source
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import train
from ddw_graph.training.recipe import Recipe


@dataclass(frozen=True)
class Work:
    """How runs are trained where it does not change their results.

    Args:
        device: Where; ``auto`` is resolved in the process that trains.
        checkpoint_steps: See ``train``.
    """

    device: str = "auto"
    workers: int = 0
    checkpoint_steps: int | None = None


@dataclass(frozen=True)
class PlannedRun:
    """A run before it is trained."""

    point: Point
    model: dict[str, Any]
    recipe: Recipe
    source: DataSource
    seed: int
    execution: Execution = Execution()

    def as_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        parts = {key: getattr(self, key) for key in ("recipe", "source", "execution")}
        return {
            **{key: getattr(self, key) for key in ("point", "model", "seed")},
            **{key: part.as_dict() for key, part in parts.items()},
        }

    @classmethod
    def from_dict(cls, value: Any) -> "PlannedRun":
        """Returns the run of a dictionary that ``as_dict`` made.

        Raises:
            AttributeError, KeyError, TypeError, ValueError: If it is another.
        """
        return cls(
            dict(value["point"]),
            dict(value["model"]),
            Recipe(**value["recipe"]),
            DataSource.from_dict(value["source"]),
            int(value["seed"]),
            Execution(**value["execution"]),
        )

    def train(self, folder: Path, work: Work) -> dict[str, Any]:
        """Trains in a folder what is not trained yet, and returns the result."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.seed)
            network = from_config(self.model)
        run = train(
            network,
            load_source(self.source, workers=work.workers),
            self.recipe,
            seed=self.seed,
            folder=folder,
            resume=True,
            device=work.device,
            execution=self.execution,
            workers=work.workers,
            checkpoint_steps=work.checkpoint_steps,
        )
        assert run.result is not None
        return run.result
