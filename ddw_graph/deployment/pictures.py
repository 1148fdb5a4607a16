"""Image files to predict on, read as a run's evaluation does."""

from pathlib import Path

import torch

from ddw_graph.training.encoded import check_shape
from ddw_graph.training.folder import FolderImages
from ddw_graph.training.names import Names
from ddw_graph.training.preparation import Preparation


class Pictures(FolderImages):
    """Image files that go through a preparation; each has its own place for a label.

    Args:
        names: The files.
        preparation: What they go through.
    """

    def __init__(self, names: Names, preparation: Preparation) -> None:
        from torchvision.transforms import v2  # slow to import

        size = preparation.image_size
        super().__init__(Path(), names, torch.arange(len(names)), size)
        self.mean, self.std = preparation.mean, preparation.std  # type: ignore[assignment]
        self.centre = [v2.Resize(preparation.resize), v2.CenterCrop(size)]
        if preparation.channels == 1:
            self.centre.insert(0, v2.Lambda(_grey))
        self.finish = [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(list(preparation.mean), list(preparation.std)),
        ]

    def encoded(self, index: int) -> bytes:
        """Returns the bytes of an image's file, of no extreme shape."""
        content = super().encoded(index)
        check_shape(content)
        return content


def _grey(picture: object) -> object:
    return picture.convert("L")  # type: ignore[attr-defined]
