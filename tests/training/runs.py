"""Short trainings, and ways to end them."""

from pathlib import Path
from typing import Any

import torch

from ddw_graph.training.data import ImageData
from ddw_graph.training.recipe import Recipe, recipe_named
from ddw_graph.training.run import Row, RunFolder
from ddw_graph.training.train import train
from tests.training.small import small_config, small_data

RECIPE = recipe_named("small", epochs=2, batch_size=10, augment=True)


def run(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    data: ImageData | None = None,
    recipe: Recipe = RECIPE,
    **options: Any,
) -> dict[str, Any]:
    """Trains in three steps an epoch, of which the last has fewer images."""
    return train(
        config or small_config(drop_path=0.3, dropout=0.2),
        data or small_data(24, 12),
        recipe,
        seed=options.pop("seed", 0),
        folder=folder,
        **options,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Returns the weights in a run's checkpoint."""
    state: dict[str, torch.Tensor] = RunFolder(folder).read_checkpoint()["model"]
    return state


class Stop(Exception):
    """Ends a training from outside."""


class StopAt:
    """Ends a training at a step."""

    def __init__(self, epoch: int, step: int) -> None:
        self.place = epoch, step

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            raise Stop

    def epoch(self, row: Row) -> None:
        pass
