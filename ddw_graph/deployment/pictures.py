"""Image files to predict on, read as a run's evaluation does."""

from pathlib import Path

import torch

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
