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
        size = preparation.image_size
        super().__init__(Path(), names, torch.arange(len(names)), size)
        preparation.govern(self)

    def encoded(self, index: int) -> bytes:
        """Returns the bytes of an image's file, of no extreme shape."""
        content = super().encoded(index)
        check_shape(content)
        return content
