"""Many texts in little memory."""

import os
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np


class Names(Sequence[str]):
    """Names of files, in one piece of memory.

    A list of a million paths takes hundreds of megabytes, and more in each process that
    loads images: counting references alone copies what processes share.

    Args:
        text: The names, one after another, as the file system has them.
        ends: Where each ends in ``text``.

    Example:
        >>> names = Names.of(["cat/1.jpg", "dog/2.jpg"])
        >>> len(names), names[1]
        (2, 'dog/2.jpg')
    """

    def __init__(self, text: bytes, ends: np.ndarray) -> None:
        self.text = text
        self.ends = ends

    @classmethod
    def of(cls, names: Iterable[str]) -> "Names":
        """Returns names in one piece of memory."""
        text, ends = bytearray(), []
        for name in names:
            text += os.fsencode(name)
            ends.append(len(text))
        return cls(bytes(text), np.array(ends, np.int64))

    def __len__(self) -> int:
        """Returns how many there are."""
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Returns a name, or those of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = range(len(self))[index]
        start = self.ends[place - 1] if place else 0
        return os.fsdecode(self.text[start : self.ends[place]])
