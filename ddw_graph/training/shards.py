"""Images in shards: tar files in the form of the library WebDataset."""

import os
import re
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.encoded import EncodedImages
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.shard_index import ShardIndex

WINDOW = 16
"""Shards whose images are shuffled together."""

OPEN_FILES = 2 * WINDOW
"""Shards that a process keeps open."""


class ShardImages(EncodedImages):
    """Images in shards; see ``EncodedImages``.

    Args:
        root: The folder of the shards.
        index: Where the images are.
        image_size: Height and width after cropping, pixels.

    Raises:
        DataError: If there is no image.
    """

    def __init__(self, root: Path, index: ShardIndex, image_size: int) -> None:
        super().__init__(torch.from_numpy(index.labels), image_size)
        self.root = root
        self.index = index
        self.starts = np.concatenate([[0], np.cumsum(index.images)])
        self.files = OpenFiles()

    def name(self, index: int) -> str:
        """Returns the path of an image's shard and its name in there."""
        return f"{self._shard(index)}/{self.index.keys[index]}"

    def encoded(self, index: int) -> bytes:
        """Returns the bytes of an image."""
        offset, size = self.index.offsets[index], self.index.sizes[index]
        content = self.files.read(self._shard(index), int(offset), int(size))
        if len(content) != size:
            raise OSError(f"the shard ends after {len(content)} of its {size} bytes")
        return content

    def order(self, key: Key) -> Int[Tensor, " images"]:
        """Returns the order in which a key shuffles the images.

        Shards are shuffled, and of each ``WINDOW`` of them in that order the images
        are: an epoch reads a few shards at a time, whatever the set's size, and the
        images of a batch come from that many.
        """
        generator = key.generator(Purpose.ORDER)
        shards = torch.randperm(len(self.index.shards), generator=generator)
        parts, starts = [], self.starts.tolist()
        for window in torch.split(shards, WINDOW):
            images = torch.cat(
                [torch.arange(*starts[s : s + 2]) for s in window.tolist()]
            )
            parts.append(images[torch.randperm(len(images), generator=generator)])
        return torch.cat(parts)

    def _shard(self, index: int) -> str:
        place = int(np.searchsorted(self.starts, index, side="right")) - 1
        return os.path.join(self.root, self.index.shards[place])


class OpenFiles:
    """Reads parts of files, and keeps the last of them open.

    A process that is forked shares what is open: reads name their place, and move none.
    """

    def __init__(self) -> None:
        self.descriptors: OrderedDict[str, int] = OrderedDict()

    def read(self, path: str, offset: int, size: int) -> bytes:
        """Returns a part of a file, as much of it as there is."""
        if path not in self.descriptors:
            if len(self.descriptors) >= OPEN_FILES:
                os.close(self.descriptors.popitem(last=False)[1])
            self.descriptors[path] = os.open(path, os.O_RDONLY)
        self.descriptors.move_to_end(path)
        return os.pread(self.descriptors[path], size, offset)

    def __getstate__(self) -> dict[str, Any]:
        """Returns nothing to keep: another process opens its own."""
        return {"descriptors": OrderedDict()}

    def __del__(self) -> None:
        """Closes what is open."""
        for descriptor in self.descriptors.values():
            os.close(descriptor)


def shard_paths(root: Path, split: str) -> list[Path]:
    """Returns the shards of a part of a set in the order of their numbers.

    Raises:
        DataError: If a number is missing, or there twice.
    """
    form = re.compile(rf"{re.escape(split)}-(\d+)\.tar")
    found = []
    for entry in os.scandir(root):
        match = form.fullmatch(entry.name)
        if match:
            found.append((int(match[1]), Path(entry.path)))
    found.sort()
    for (number, path), (following, other) in zip(found, found[1:], strict=False):
        if following != number + 1:
            raise DataError(
                f"shards must be numbered one by one, got {path.name} and then "
                f"{other.name} in {root}"
            )
    return [path for _, path in found]
