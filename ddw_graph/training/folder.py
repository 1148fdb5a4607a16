"""Image folders: a folder of images for each class."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.encoded import EncodedImages
from ddw_graph.training.names import Names


class FolderImages(EncodedImages):
    """Images in files of their own; see ``EncodedImages``.

    Args:
        root: The folder that names begin in.
        names: The file of each image.
        labels: The class of each.
        image_size: Height and width after cropping, pixels.

    Raises:
        DataError: If there is no image.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        labels: Int[Tensor, " images"],
        image_size: int,
    ) -> None:
        super().__init__(labels, image_size)
        self.root = root
        self.names = names

    def name(self, index: int) -> str:
        """Returns the path of an image."""
        return os.path.join(self.root, self.names[index])

    def encoded(self, index: int) -> bytes:
        """Returns the bytes of an image's file."""
        with open(self.name(index), "rb") as file:
            return file.read()


@dataclass(frozen=True)
class Listing:
    """The images below a folder, class by class, each class in the order of names.

    Args:
        classes: Name of each class, in the order of names.
        names: The file of each image, below the folder.
        sizes: Length of each file, bytes; -1 where it cannot be looked at.
        labels: The class of each image.
    """

    classes: tuple[str, ...]
    names: Names
    sizes: np.ndarray
    labels: Int[Tensor, " images"]


def listing(folder: Path, *, skip: bool = False) -> Listing:
    """Returns the images below a folder, as torchvision's ``ImageFolder`` finds them.

    Some folders are read at the same time, for file systems where each answer takes
    its time.

    Args:
        folder: Holds a folder of images for each class.
        skip: Whether a file that cannot be looked at, such as a link to nowhere, is
            listed, to be left out with the others that cannot be read.

    Raises:
        DataError: If a class has no image, or there is no class; or if a folder, or
            without ``skip`` a file, cannot be looked at.
    """
    rule = f"{folder} must hold a folder of images for each class"
    classes = tuple(sorted(e.name for e in os.scandir(folder) if e.is_dir()))
    if not classes:
        raise DataError(f"{rule}, got no folder")
    with ThreadPoolExecutor(8) as pool:
        try:
            found = list(pool.map(partial(_of_class, folder, skip), classes))
        except OSError as error:
            raise DataError(
                f"{rule}, got {error.filename}: {error.strerror}"
            ) from error
    counts = [len(names) for names, _ in found]
    empty = [name for name, count in zip(classes, counts, strict=True) if not count]
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        raise DataError(f"{rule}, got none of {empty[0]!r}{more}")
    return Listing(
        classes,
        Names.of(name for names, _ in found for name in names),
        np.concatenate([sizes for _, sizes in found]),
        torch.arange(len(classes)).repeat_interleave(torch.tensor(counts)),
    )


def _of_class(folder: Path, skip: bool, name: str) -> tuple[Names, np.ndarray]:
    """Returns the images of one class and their lengths."""
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    names, sizes = [], []
    for place, _, files in sorted(
        os.walk(os.path.join(folder, name), onerror=_raise, followlinks=True)
    ):
        below = os.path.relpath(place, folder)
        for file in sorted(files):
            if file.lower().endswith(IMG_EXTENSIONS):
                names.append(os.path.join(below, file))
                sizes.append(_size(os.path.join(place, file), skip))
    return Names.of(names), np.array(sizes, np.int64)


def _size(path: str, skip: bool) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        if skip:
            return -1
        raise


def _raise(error: OSError) -> None:
    raise error
