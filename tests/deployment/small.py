"""A small network whose gates close, and a run's folder of one."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.data import Subset

from ddw_graph.generators import complete
from ddw_graph.models import create_model
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.training.data import load_data
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.launch import train
from ddw_graph.training.loading import batches
from ddw_graph.training.recipe import recipe_named
from tests.models.test_pruning import SHUT, closing
from tests.training.runs import small_network
from tests.training.small import small_data


def closing_network(**changes: Any) -> Network:
    """Returns a network in which samples close edges of their own."""
    arguments: dict[str, Any] = {
        "wiring": "complete",
        "edges": SHUT,
        "n": 3,
        "channels": 4,
        "num_classes": 5,
        "in_channels": 1,
        **changes,
    }
    return closing(create_model("randwire_tiny", **arguments)).float()


def one_stage(edges: str = SHUT) -> Network:
    """Returns a network of one stage, in which samples close edges of their own."""
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    stage = Stage(complete(2), 4, 4, edges=edges)
    return closing(Network(nn.Conv2d(1, 4, 3), [stage], head, in_channels=1)).float()


def small_run(folder: Path, data: ImageData | None = None, **changes: Any) -> Path:
    """Trains a small network for an epoch and returns its folder."""
    network = small_network(edges=SHUT, **changes)
    recipe = recipe_named("small", epochs=1, batch_size=12)
    return train(network, data or small_data(), recipe, seed=0, folder=folder).path


def clothes(images: int, channels: int = 1, size: int = 28) -> torch.Tensor:
    """Returns images of Fashion-MNIST, those in the package, at a size."""
    chosen = Subset(load_data().train_inputs(), range(images))
    ((pixels, _),) = batches(chosen, images)
    scaled = torch.nn.functional.interpolate(pixels, size=size, mode="bilinear")
    return scaled.expand(-1, channels, -1, -1).contiguous()


def noise(batch: int, channels: int = 1, size: int = 28, seed: int = 7) -> torch.Tensor:
    """Returns images of noise."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, channels, size, size, generator=generator)
