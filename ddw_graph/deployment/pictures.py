"""Image files to predict on, found and read as a run's evaluation does."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ddw_graph.errors import DataError
from ddw_graph.training.encoded import FORMATS
from ddw_graph.training.folder import FolderImages
from ddw_graph.training.names import Names
from ddw_graph.training.preparation import Preparation

MOST_LONG = 100
"""Longest side over the shortest up to which an image is read: resized by its short
side, one line of pixels would fill the memory."""


def picture_files(paths: Sequence[Path]) -> Names:
    """Returns image files: those named, and those in and below folders in their order.

    A file that is named is taken whatever its name ends with.

    Args:
        paths: Files and folders.

    Raises:
        DataError: If a folder holds no image, or there is no such file.
    """
    return Names.of(name for path in paths for name in _named(path))


def _named(path: Path) -> Iterator[str]:
    if not path.is_dir():
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        yield str(path)
        return
    count = 0
    for name in _below(path):
        count += 1
        yield name
    if not count:
        raise DataError(f"{path} must hold images, got none in it or below")


def _below(folder: Path) -> Iterator[str]:
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(IMG_EXTENSIONS):
                yield os.path.join(place, file)


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
        from PIL import Image

        content = super().encoded(index)
        with warnings.catch_warnings(action="ignore"):
            try:
                width, height = Image.open(io.BytesIO(content), formats=FORMATS).size
            except Exception:  # who decodes it says what is wrong
                return content
        if max(width, height) > MOST_LONG * min(width, height):
            raise ValueError(
                f"a side must be at most {MOST_LONG} times the other, got "
                f"{width}x{height}"
            )
        return content


def _grey(picture: object) -> object:
    return picture.convert("L")  # type: ignore[attr-defined]
