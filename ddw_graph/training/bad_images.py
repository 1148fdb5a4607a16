"""Images that cannot be read: found in one pass before training, and named."""

import csv
import io
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset, Subset

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, UserError
from ddw_graph.printable import printable
from ddw_graph.training.loading import batches
from ddw_graph.training.pictures import UnreadableError
from ddw_graph.training.world import World

LOGGER = logging.getLogger(__name__)

AT_ONCE = 32
"""Images that a process checks before it reports them."""


class BadImage(NamedTuple):
    """The name of an image that cannot be read, and why, in one line."""

    name: str
    reason: str


def readable(
    dataset: Dataset[Any],
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
) -> tuple[Dataset[Any], tuple[BadImage, ...]]:
    """Returns a data set without the images that cannot be read, and these.

    Every image is read once, by the processes together; all return the same.

    Raises:
        DataError: If no image can be read.
        LostError: If the system cannot read one now, for a reason that passes.
    """
    count = len(dataset)  # type: ignore[arg-type]
    found: dict[int, BadImage] | UserError
    try:
        checks = batches(
            _Unreadable(dataset),
            AT_ONCE * world.size,
            workers=workers,
            world=world,
            collate=list,
        )
        found = dict(item for part in checks for item in part if item)
    except UserError as error:  # in one process, for which the others wait
        found = error
    bad: dict[int, BadImage] = {}
    for share in world.gather(found):
        if isinstance(share, UserError):
            raise share
        bad |= share
    images = tuple(bad[index] for index in sorted(bad))
    if count and len(bad) == count:
        name, reason = images[0]
        raise DataError(
            f"at least one image must be readable, got {count} that are not, such as "
            f"{name} ({reason})"
        )
    kept = [index for index in range(count) if index not in bad]
    return (Subset(dataset, kept) if bad else dataset), images


def warn(images: Sequence[BadImage]) -> None:
    """Names images that are left out, each in a warning."""
    for name, reason in _shown(images):
        LOGGER.warning("%s is left out: %s", name, reason)


def write_bad_images(folder: Path, images: Sequence[BadImage]) -> None:
    """Writes ``bad_images.csv`` into a folder, if there are any."""
    if not images:
        return
    text = io.StringIO()
    rows = [BadImage._fields, *_shown(images)]
    csv.writer(text, lineterminator="\n").writerows(rows)
    write_bytes(folder / "bad_images.csv", [text.getvalue().encode()], overwrite=True)


def _shown(images: Sequence[BadImage]) -> list[list[str]]:
    return [[printable(text) for text in image] for image in images]


class _Unreadable(Dataset[Any]):
    """Returns the place of an image that cannot be read, and why; None of others."""

    def __init__(self, dataset: Dataset[Any]) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[int, BadImage] | None:
        try:
            self.dataset[index]
        except UnreadableError as error:
            return index, BadImage(error.name, error.reason)
        return None
