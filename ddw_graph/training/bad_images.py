"""Images that cannot be read, named once in a file of a run's folder."""

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from ddw_graph.atomic import write_bytes
from ddw_graph.training.data import ImageData
from ddw_graph.training.encoded import BadImage
from ddw_graph.training.loading import Hears

LOGGER = logging.getLogger(__name__)


class BadImageLog:
    """Names images that are left out: each once, in a file and a line on stderr.

    Args:
        folder: The run's folder; ``bad_images.csv`` there goes on where it ends.
        rank: Which of the processes that train together; each but the first has a file
            of its own, ``bad_images-RANK.csv``.
    """

    def __init__(self, folder: Path, rank: int = 0) -> None:
        self.folder = folder
        suffix = f"-{rank}" if rank else ""
        self.path = folder / f"bad_images{suffix}.csv"

    def __call__(self, images: Sequence[BadImage]) -> None:
        """Hears of images that a batch is without."""
        told = {name for path in self._files() for name, _ in _rows(path)}
        new = [image for image in images if image.name not in told]
        if not new:
            return
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(BadImage._fields)
        writer.writerows([*_rows(self.path), *new])
        content = text.getvalue().encode(errors="surrogateescape")
        write_bytes(self.path, [content], overwrite=True)
        _warn(new)

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("bad_images*.csv"))


def hearing(data: ImageData) -> Hears | None:
    """Returns what warns of images that cannot be read; None where they are errors."""
    return _warn if data.skips else None


def leaving_out(data: ImageData) -> Hears | None:
    """Returns what hears of images that cannot be read, and says nothing.

    For images that a training has named already; None where they are errors.
    """
    return _nothing if data.skips else None


def _nothing(images: Sequence[BadImage]) -> None:
    pass


def _warn(images: Sequence[BadImage]) -> None:
    for image in images:
        # A name need not be text, and whatever takes the line may want some.
        name = image.name.encode(errors="backslashreplace").decode()
        LOGGER.warning("%s is left out: %s", name, image.reason)


def _rows(path: Path) -> list[list[str]]:
    """Returns the images that a file names, with the reasons."""
    if not path.exists():
        return []
    with path.open(newline="", errors="surrogateescape") as file:
        return [row for row in csv.reader(file) if len(row) == 2][1:]
