"""Image folders: a folder of images for each class."""

import os
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import TYPE_CHECKING

from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.training.pictures import composed, images_below, read_picture

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageFolder(Dataset[tuple["Image", int]]):
    """The images in the folders of a folder, one for each class, in RGB.

    They are listed as torchvision's ``ImageFolder`` lists them, but names that begin
    with a dot count neither as classes nor as images. Names of classes are composed
    (NFC), whatever the file system does.

    Args:
        root: Holds a folder of images for each class.

    Raises:
        DataError: If a class has no image, there is no class, two folders have the same
            name for Unicode, or a folder cannot be read.
    """

    def __init__(self, root: Path) -> None:
        rule = f"{root} must hold a folder of images for each class"
        try:
            with os.scandir(root) as entries:
                names = [e.name for e in entries if e.is_dir() and e.name[0] != "."]
            names.sort(key=composed)
            found = [images_below(root / name) for name in names]
        except OSError as error:
            raise DataError(
                f"{rule}, got {error.filename}: {error.strerror}"
            ) from error
        self.root, self.classes = root, [composed(name) for name in names]
        if not names:
            raise DataError(f"{rule}, got no folder")
        for name, following in zip(self.classes, self.classes[1:], strict=False):
            if name == following:
                raise DataError(
                    f"{rule}, got two folders {name!r} that differ only in composed "
                    "and decomposed letters; put their images into one"
                )
        empty = [name for name, images in zip(names, found, strict=True) if not images]
        if empty:
            more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
            raise DataError(f"{rule}, got none of {empty[0]!r}{more}")
        self.samples = [
            (path, label) for label, images in enumerate(found) for path in images
        ]
        self.targets = [label for _, label in self.samples]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple["Image", int]:
        """Returns an image and its class."""
        path, label = self.samples[index]
        return read_picture(path), label


def digest_of(folders: Iterable[ImageFolder], *, skip: bool) -> str:
    """Returns a digest of the names and sizes of all files.

    Reading every image would take minutes.

    Args:
        skip: Whether a file that cannot be looked at, such as a link to nowhere, counts
            as well.

    Raises:
        DataError: If there is such a file without ``skip``.
    """
    digest = sha256()
    # Several at a time, for file systems where each answer takes its time.
    with ThreadPool(8) as pool:
        for folder in folders:
            paths = [path for path, _ in folder.samples]
            sizes = pool.imap(partial(_size, skip), paths, chunksize=256)
            for path, size in zip(paths, sizes, strict=True):
                name = composed(os.path.relpath(path, os.path.dirname(folder.root)))
                digest.update(os.fsencode(f"{name} {size}") + b"\0")
    return digest.hexdigest()


def _size(skip: bool, path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError as error:
        if skip:
            return -1
        raise DataError(
            f"every image must be readable, got {path}: {error.strerror}"
        ) from error
