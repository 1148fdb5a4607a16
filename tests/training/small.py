"""A network and images small enough to train in a test."""

from typing import Any

import torch
from torch.utils.data import TensorDataset

from ddw_graph import create_model
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.transform import Transform


def small_data(train: int = 48, test: int = 24, classes: int = 3) -> ImageData:
    """Returns images of which a class lights one quarter up."""

    def images(count: int, seed: int) -> TensorDataset:
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(count) % classes
        pixels = torch.randint(120, (count, 1, 8, 8), generator=generator)
        for place, label in enumerate(labels.tolist()):
            row, column = divmod(label, 2)
            corner = pixels[place, 0, 4 * row :, 4 * column :]
            corner[:4, :4] += 120
        return TensorDataset(pixels.byte(), labels)

    names = tuple("abc"[:classes])
    parts = images(train, 0), images(test, 1)
    transform = Transform(1, 8, 8, (0.3,), (0.2,))
    return ImageData("quarters", *parts, names, 1, 8, "0", transform)


def small_config(edges: str = "dynamic", **changes: Any) -> dict[str, Any]:
    """Returns the configuration of a tiny network for these images."""
    arguments: dict[str, Any] = {
        "wiring": "complete",
        "n": 3,
        "channels": 4,
        "num_classes": 3,
        "in_channels": 1,
        "edges": edges,
        **changes,
    }
    config: dict[str, Any] | None = create_model("randwire_tiny", **arguments).config
    assert config is not None
    return config
