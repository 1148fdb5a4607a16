"""Images in shards: tar files in the form of the library WebDataset.

Its own reader by index, ``wids``, is not used: WebDataset 1.0 dropped it, and the last
one that has it unpickles index files beside the data, pairs only members that follow
each other, and cuts long names off.
"""

import json
import os
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.pictures import UnreadableError, composed, picture
from ddw_graph.training.shard_index import ShardIndex

if TYPE_CHECKING:
    from PIL.Image import Image

WINDOW = 16
"""Shards whose images are shuffled together."""

OPEN_FILES = 2 * WINDOW
"""Shards that a process keeps open."""

CLASS_NAMES = ("classes.txt", "classes.json")


class ShardImages(Dataset[tuple["Image", int]]):
    """Images in the shards of a folder, with the class of each."""

    def __init__(self, root: Path, index: ShardIndex) -> None:
        self.root = root
        self.index = index
        self.targets = torch.from_numpy(index.images[:, 3].copy())

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple["Image", int]:
        """Returns an image in RGB and its class."""
        shard, offset, size, label = self.index.images[index].tolist()
        changed = int(self.index.seen[shard, 1])
        path = os.path.join(self.root, self.index.shards[shard])

        def content() -> bytes:
            # Reads name their place: a forked process shares what is open.
            found = os.pread(_opened(path, changed).number, size, offset)
            if len(found) != size:
                raise OSError(f"the shard ends after {len(found)} of its {size} bytes")
            return found

        try:
            return picture(path, content), label
        except UnreadableError as error:
            name = os.path.join(self.root, self.index.name(index))
            raise UnreadableError(name, error.reason) from error

    def order(self, key: Key) -> Int[Tensor, " images"]:
        """Returns the order in which a key shuffles the images.

        Shards are shuffled, and then the images of each ``WINDOW`` of them: an epoch
        reads a few shards at a time, whatever the set's size, and the images of a batch
        come from as many.
        """
        generator = key.generator(Purpose.ORDER)
        count = len(self.index.shards)
        starts = np.searchsorted(self.index.images[:, 0], range(count + 1)).tolist()
        parts = []
        shards = torch.randperm(count, generator=generator)
        for window in torch.split(shards, WINDOW):
            images = torch.cat(
                [torch.arange(*starts[s : s + 2]) for s in window.tolist()]
            )
            parts.append(images[torch.randperm(len(images), generator=generator)])
        return torch.cat(parts)


class _Descriptor:
    """A file that is open until nothing refers to it."""

    def __init__(self, path: str) -> None:
        self.number = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@lru_cache(OPEN_FILES)
def _opened(path: str, changed: int) -> _Descriptor:
    """Returns a shard as it was at its last change."""
    return _Descriptor(path)


def shard_paths(root: Path, split: str) -> list[Path]:
    """Returns the shards of a part of a set in the order of their numbers.

    Raises:
        DataError: If a number is missing, or there twice.
    """
    form = re.compile(rf"{re.escape(split)}-(\d+)\.tar")
    matches = [(form.fullmatch(path.name), path) for path in root.glob("*.tar")]
    found = sorted((int(match[1]), path) for match, path in matches if match)
    for (number, path), (following, other) in zip(found, found[1:], strict=False):
        if following != number + 1:
            raise DataError(
                f"shards must be numbered one by one, got {path.name} and then "
                f"{other.name} in {root}"
            )
    return [path for _, path in found]


def class_names(root: Path) -> tuple[str, ...] | None:
    """Returns the name of each class from a folder's file of them; None without one.

    ``classes.txt`` has a name on each line, ``classes.json`` is a list of names; the
    first is that of class 0. A byte-order mark is left out, and letters and accents are
    composed (NFC).

    Raises:
        DataError: If there are both files, or one that holds fewer than two names, one
            name twice, or something else.
    """
    found = [root / name for name in CLASS_NAMES if (root / name).exists()]
    if not found:
        return None
    if len(found) > 1:
        both = " and ".join(CLASS_NAMES)
        raise DataError(f"{root} must hold one of {both}, got both")
    path = found[0]
    rule = f"{path} must hold the names of at least two classes"
    try:
        text = path.read_text(encoding="utf-8-sig")
        names = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise DataError(f"{path} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{rule}, got {error}") from error
    if not isinstance(names, list) or len(names) < 2:
        raise DataError(f"{rule} in a list, got {str(names)[:80]}")
    known: dict[str, None] = {}
    for name in names:
        whole = composed(name.strip()) if isinstance(name, str) else ""
        surrogate = any("\ud800" <= letter <= "\udfff" for letter in whole)
        if not whole or surrogate or whole in known:
            raise DataError(f"{rule}, each another text of whole letters, got {name!r}")
        known[whole] = None
    return tuple(known)
