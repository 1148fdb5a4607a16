"""Short trainings, and ways to end them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ddw_graph.models import from_config
from ddw_graph.nn.network import Network
from ddw_graph.training.classification import Classification
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.launch import train as train_network
from ddw_graph.training.launch import train_task
from ddw_graph.training.log import Row
from ddw_graph.training.loop import Training
from ddw_graph.training.recipe import Recipe, recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from tests.training.small import small_config, small_data

RECIPE = recipe_named("small", epochs=2, batch_size=10, augment=True)
EVERYTHING = replace(
    RECIPE,
    warmup_epochs=1,
    label_smoothing=0.1,
    trivial_augment=True,
    random_erasing=0.5,
    mixup=0.4,
    cutmix=1.0,
    norm_weight_decay=0.0,
    schedule="step",
    gamma=0.5,
    ema_decay=0.7,
    ema_interval=2,
    clip_norm=0.5,
)
"""Of which every value that changes a step is on."""


def small_network(
    config: dict[str, Any] | None = None, *, seed: int = 0, **changes: Any
) -> Network:
    """Returns the network of a configuration with the weights of a seed."""
    torch.manual_seed(seed)
    return from_config(config or small_config(**changes))


def run(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,
    data: ImageData | None = None,
    recipe: Recipe = RECIPE,
    seed: int = 0,
    initial: int | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Trains in three steps an epoch, of which the last has fewer images.

    The initial weights are of the seed ``initial``, by default the run's.
    """
    config = config or small_config(drop_path=0.3, dropout=0.2)
    made = train_network(
        small_network(config, seed=seed if initial is None else initial),
        data or small_data(24, 12),
        recipe,
        seed=seed,
        folder=folder,
        **options,
    )
    assert made.result is not None
    return made.result


def run_in_place(
    folder: Path, *, recipe: Recipe = RECIPE, **options: Any
) -> tuple[Network, Any]:
    """Returns a network, and what trains it in place as ``run`` trains a copy."""
    network = small_network(small_config(drop_path=0.3, dropout=0.2))
    task = Classification(network, small_data(24, 12), recipe)

    def train(*, resume: bool = False, **more: Any) -> Run:
        made = Training(task, 0, RunFolder(folder), **options, **more)
        return train_task(made, resume=resume)

    return network, train


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Returns the weights of a finished run."""
    network: Network = Run(folder).network()
    return network.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Returns whether weights are equal to the last bit."""
    return one.keys() == other.keys() and all(
        torch.equal(one[name], other[name]) for name in one
    )


class Stop(Exception):
    """Ends a training."""


class StopAt:
    """Ends a training at a step."""

    def __init__(self, epoch: int, step: int) -> None:
        self.place = epoch, step

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            raise Stop

    def epoch(self, row: Row) -> None:
        pass
