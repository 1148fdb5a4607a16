"""Image files: found below folders, read safely, turned upright."""

import errno
import io
import os
import unicodedata
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from torch.utils.data import Dataset

from ddw_graph.errors import DataError, LostError, reason_of

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "PPM", "TIFF", "GIF")
"""What is read, whatever a file's name ends with.

Pillow knows more, and starts another program for one of them (EPS).
"""

MOST_LONG = 100
"""Longest side over the shortest that is read.

Resized by its short side, a line of pixels would fill the memory.
"""

PASSING = {
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.ENOTCONN),
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ECONNRESET, errno.ECONNABORTED),
    *(errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EHOSTDOWN),
}
"""Errors of the system that pass: the file may well be whole."""


class UnreadableError(DataError):
    """The file ``name`` is not a readable image, for a ``reason`` in one line."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(name, reason)
        self.name, self.reason = name, reason

    def __str__(self) -> str:
        """Returns the message."""
        return f"{self.name}: every file must be a readable image ({self.reason})"


class ImageFiles(Dataset[tuple["Image", int]]):
    """Image files, each with its place in the list as its label."""

    def __init__(self, files: Sequence[str]) -> None:
        self.files = files

    def __len__(self) -> int:
        """Returns the number of files."""
        return len(self.files)

    def __getitem__(self, index: int) -> tuple["Image", int]:
        """Returns an image in RGB and its place."""
        return read_picture(self.files[index]), index


def read_picture(path: str) -> "Image":
    """Returns the image in a file, upright and in RGB.

    Raises:
        UnreadableError: If the file is not a readable image.
        LostError: If the system cannot read it now, for a reason that passes.
    """
    return picture(path, Path(path).read_bytes)


def picture(name: str, content: Callable[[], bytes]) -> "Image":
    """Returns the image in some bytes as ``read_picture``; errors call it by a name."""
    try:
        return decoded(content())
    except MemoryError:  # has nothing to do with the image
        raise
    except Exception as error:  # a damaged file can make Pillow raise anything
        if isinstance(error, OSError) and error.errno in PASSING:
            raise LostError(
                f"{name} could not be read now ({error.strerror}); run the same "
                "command again to resume, train with --resume"
            ) from error
        raise UnreadableError(name, reason_of(error)) from error


def decoded(content: bytes, *, upright: bool = True) -> "Image":
    """Returns the image in the bytes of a file, in RGB; upright by its EXIF.

    Raises:
        Exception: If a side is more than ``MOST_LONG`` times the other, or whatever
            Pillow raises where the bytes hold no image.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError  # come with torchvision

    # What Pillow warns about, it reads all the same.
    with warnings.catch_warnings(action="ignore"):
        try:
            file = Image.open(io.BytesIO(content), formats=FORMATS)
        except UnidentifiedImageError as error:
            # Pillow's message holds an address, which is another each time.
            kinds = ", ".join(FORMATS)
            raise ValueError(f"{len(content)} bytes are none of {kinds}") from error
        if file.mode.startswith(("I", "F")):
            raise ValueError(f"a channel must have 8 bits, got mode {file.mode}")
        width, height = file.size
        if max(width, height) > MOST_LONG * min(width, height):
            raise ValueError(
                f"a side must be at most {MOST_LONG} times the other, got "
                f"{width}x{height}"
            )
        file.load()
        try:
            if upright:
                ImageOps.exif_transpose(file, in_place=True)
        except MemoryError:
            raise
        except Exception:  # damaged EXIF leaves the pixels whole
            pass
        return file.convert("RGB")


def picture_files(paths: Sequence[Path]) -> list[str]:
    """Returns image files: those named, and those in and below folders in their order.

    A file that is named is taken whatever its name ends with.

    Raises:
        DataError: If a folder holds no image, or there is no such file.
        OSError: If a folder cannot be read.
    """
    files: list[str] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder")
        found = images_below(path) if path.is_dir() else [str(path)]
        if not found:
            raise DataError(f"{path} must hold images, got none in it or below")
        files += found
    return files


def images_below(folder: str | Path) -> list[str]:
    """Returns the image files in and below a folder, in torchvision's order.

    Files and folders whose names begin with a dot are left out. A link to a folder is
    followed, unless the folder has been visited.

    Raises:
        OSError: If a folder cannot be read.
    """
    from torchvision.datasets.folder import IMG_EXTENSIONS  # slow to import

    found, seen = [], set()
    for place, folders, files in os.walk(folder, onerror=_refuse, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            os.path.join(place, name)
            for name in files
            if name.lower().endswith(IMG_EXTENSIONS) and not name.startswith(".")
        ]
    # Composed letters: the order is the same on file systems that decompose them.
    return sorted(found, key=lambda path: (os.path.split(composed(path)), path))


def composed(text: str) -> str:
    """Returns a text whose letters and accents are composed (NFC)."""
    return unicodedata.normalize("NFC", text)


def _refuse(error: OSError) -> NoReturn:
    """Ends a search that would leave a folder out silently."""
    raise error
