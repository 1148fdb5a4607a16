"""Image folders: a folder of images for each class."""

import os
from collections.abc import Iterable
from functools import partial
from hashlib import sha256
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import Any

from torchvision import datasets

from ddw_graph.errors import DataError
from ddw_graph.training.pictures import composed, images_below, read_picture


class ImageFolder(datasets.ImageFolder):  # type: ignore[misc]
    """torchvision's ``ImageFolder``, with images read by ``read_picture``.

    Names that begin with a dot count neither as classes nor as images. Names of classes
    are composed (NFC), whatever the file system does.

    Args:
        root: Holds a folder of images for each class.

    Raises:
        DataError: If a class has no image, there is no class, two folders have the same
            name for Unicode, or a folder cannot be read.
    """

    def __init__(self, root: Path) -> None:
        self.rule = f"{root} must hold a folder of images for each class"
        try:
            super().__init__(root, loader=read_picture)
        except OSError as error:
            raise DataError(
                f"{self.rule}, got {error.filename}: {error.strerror}"
            ) from error

    def find_classes(self, directory: Any) -> tuple[list[str], dict[str, int]]:
        """Returns the names of the classes, and the number of each folder's class."""
        with os.scandir(directory) as entries:
            folders = [e.name for e in entries if e.is_dir() and e.name[0] != "."]
        if not folders:
            raise DataError(f"{self.rule}, got no folder")
        folders.sort(key=composed)
        classes = [composed(name) for name in folders]
        for name, following in zip(classes, classes[1:], strict=False):
            if name == following:
                raise DataError(
                    f"{self.rule}, got two folders {name!r} that differ only in "
                    "composed and decomposed letters; put their images into one"
                )
        return classes, {folder: place for place, folder in enumerate(folders)}

    @staticmethod
    def make_dataset(
        directory: Any, class_to_idx: dict[str, int], *_: Any, **__: Any
    ) -> list[tuple[str, int]]:
        """Returns the path and the class of each image, class by class."""
        samples: list[tuple[str, int]] = []
        empty: list[str] = []
        for name, label in class_to_idx.items():
            found = images_below(os.path.join(directory, name))
            samples += [(path, label) for path in found]
            empty += [] if found else [name]
        if empty:
            more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
            raise DataError(
                f"{directory} must hold a folder of images for each class, got none "
                f"of {empty[0]!r}{more}"
            )
        return samples


def digest_of(folders: Iterable[ImageFolder], *, skip: bool) -> str:
    """Returns a digest of the names and sizes of all files.

    Reading every image would take minutes.

    Args:
        folders: The folders.
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
