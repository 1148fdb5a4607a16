"""Images in shards: tar files in the form of the library WebDataset.

A shard is an uncompressed tar with ``KEY.jpg`` (or ``.jpeg``, ``.png``, ``.webp``) and
``KEY.cls`` for each image. Where each image is, is read once and then kept; nothing is
ever extracted.

The library's own reader by index, ``wids``, is not used: WebDataset 1.0 dropped it, and
the last one that has it unpickles index files in the data's folder, pairs only members
that follow each other, and cuts long names off.
"""

import io
import json
import os
import re
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, FileError, reason_of
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.pictures import UnreadableError, composed, picture

if TYPE_CHECKING:
    from PIL.Image import Image

PICTURES = ("jpg", "jpeg", "png", "webp")
UNREAD = ("json", "txt")
"""Members besides image and class that are left alone; others are refused."""
CLASSES = 2**20
"""More than this are a mistake, and each would have weights."""
MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
"""WebDataset's rule: the key ends at the first dot of the file's name."""

WINDOW = 16
"""Shards whose images are shuffled together."""
OPEN_FILES = 2 * WINDOW
"""Shards that a process keeps open."""


@dataclass(frozen=True)
class ShardIndex:
    """Where images are, in the order of shards and of members in each.

    Args:
        seen: Length and time of change of each shard, ``(shards, 2)``, bytes and ns.
        images: For each image its shard, where it begins in it, its length (both in
            bytes) and its class: ``(images, 4)``.
        names: Name of each image in its shard, separated by zero bytes.
    """

    shards: tuple[str, ...]
    seen: np.ndarray
    images: np.ndarray
    names: bytes

    def name(self, index: int) -> str:
        """Returns the path of an image's shard and the image's name in there."""
        name = self.names.split(b"\0")[index].decode(errors="surrogateescape")
        return f"{self.shards[self.images[index, 0]]}/{name}"


def shard_index(paths: list[Path], cache: Path) -> ShardIndex:
    """Returns where the images of shards are, from a file while that is true.

    It is true while every shard has the name, length and time of change that it had.
    Otherwise, or if the file is damaged, every shard's headers are read again and it is
    replaced, where the folder can be written to.

    Raises:
        DataError: If a shard is not a whole tar, or holds something else than images
            with a class each.
    """
    try:
        stats = [path.stat() for path in paths]
    except OSError as error:
        raise DataError(f"{error.filename}: a shard must be readable") from error
    seen = np.array([(s.st_size, s.st_mtime_ns) for s in stats], np.int64)
    shards = tuple(path.name for path in paths)
    with suppress(Exception):  # a damaged file can make the reader raise anything
        return _kept_index(shards, seen, cache)
    found = [(place, *each) for place, path in enumerate(paths) for each in _read(path)]
    names = "\0".join(each[1] for each in found).encode(errors="surrogateescape")
    images = np.array([(place, *row) for place, _, *row in found], np.int64)
    buffer, text = io.BytesIO(), np.frombuffer(names, np.uint8)
    np.savez(buffer, shards=shards, seen=seen, images=images, names=text)
    with suppress(OSError, FileError):
        write_bytes(cache, [buffer.getvalue()], overwrite=True)
    return ShardIndex(shards, seen, images, names)


def _kept_index(shards: tuple[str, ...], seen: np.ndarray, cache: Path) -> ShardIndex:
    """Returns the index in a file, or raises if it is not one of these shards."""
    # Opened here: where there is no archive in it, NumPy leaves it open. The archive
    # has checksums of its arrays.
    with cache.open("rb") as content, np.load(content, allow_pickle=False) as file:
        images, names = file["images"], file["names"].tobytes()
        same = file["shards"].tolist() == list(shards)
        if not same or not np.array_equal(file["seen"], seen):
            raise ValueError("not the index of these shards")
    return ShardIndex(shards, seen, images, names)


def _read(path: Path) -> list[tuple[str, int, int, int]]:
    """Returns the images of one shard: name, offset, size and class."""
    found: dict[str, dict[str, Any]] = {}
    try:
        with open(path, "rb") as file:
            # Without "r:", a compressed one would be unpacked again for each image.
            with tarfile.open(fileobj=file, mode="r:") as shard:
                for member in shard:
                    _add(member, file, found)
                end = shard.offset
            # tarfile takes any end for one.
            file.seek(end)
            if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise DataError(
                    f"a shard must end with a block of zeros, got none at byte {end}: "
                    "it was cut short, or its headers are damaged"
                )
        for key, has in found.items():
            if len(has) < 2:
                lacks = "class" if "image" in has else "image"
                raise DataError(
                    f"each key must have an image and a .cls, {key!r} has no {lacks}"
                )
        if not found:
            raise DataError("a shard must hold at least one image, got none")
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path}: a shard must be readable ({error})") from error
    except (tarfile.TarError, MemoryError, OverflowError, ValueError) as error:
        rule = "a shard must be a whole, uncompressed tar"
        raise DataError(f"{path}: {rule} ({reason_of(error)})") from error
    return [(*has["image"], has["class"]) for has in found.values()]


def _add(
    member: tarfile.TarInfo, file: IO[bytes], found: dict[str, dict[str, Any]]
) -> None:
    """Adds an image or a class to those of its key."""
    name = member.name
    if name.startswith("/") or ".." in name.split("/") or "\0" in name:
        raise DataError(f"names must lie within the shard, got {name!r}")
    if member.isdir():
        return
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
    if not plain or member.issparse():
        raise DataError(f"members must be plain files, {name!r} is not")
    parts = MEMBER.fullmatch(name)
    key, kind = (parts[1], parts[2].lower()) if parts else (name, "")
    if kind in UNREAD:
        return
    if kind not in (*PICTURES, "cls"):
        allowed = ", ".join((*PICTURES, "cls", *UNREAD))
        raise DataError(f"members must end with {allowed}, got {name!r}")
    what, has = "class" if kind == "cls" else "image", found.setdefault(key, {})
    if what in has:
        raise DataError(f"each key must have one {what}, {key!r} has two")
    if what == "image":
        has[what] = name, member.offset_data, member.size
        return
    file.seek(member.offset_data)
    text = file.read(min(member.size, 32))
    if len(text) < min(member.size, 32):
        raise DataError(f"a shard must be whole, {name!r} is cut short")
    text = text.strip()
    if not (text.isdigit() and member.size <= 32 and int(text) < CLASSES):
        raise DataError(
            f"a class must be a number in [0, {CLASSES}), {name!r} holds "
            f"{text.decode(errors='replace')!r}"
        )
    has[what] = int(text)


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
    files = root / "classes.txt", root / "classes.json"
    found = [path for path in files if path.exists()]
    if not found:
        return None
    if len(found) > 1:
        raise DataError(f"{root} must hold classes.txt or classes.json, got both")
    (path,) = found
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
