"""Image files, as a user names them: one by one, or by folder."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from ddw_graph.errors import DataError
from ddw_graph.training.names import Names


def picture_files(paths: Sequence[Path]) -> Names:
    """Returns image files: those named, and those in and below folders in their order.

    A file that is named is taken whatever its name ends with.

    Args:
        paths: Files and folders.

    Raises:
        DataError: If a folder holds no image, or there is no such file.
        OSError: If a folder cannot be read.
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
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link that leads back
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(IMG_EXTENSIONS):
                yield os.path.join(place, file)


def _refuse(error: OSError) -> NoReturn:
    """Ends a search that would leave out a folder and not say so."""
    raise error
