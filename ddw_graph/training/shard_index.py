"""Where each image of a set of shards is: read from tar files once, then kept.

A shard is an uncompressed tar with ``KEY.jpg`` (or ``.jpeg``, ``.png``, ``.webp``) and
``KEY.cls`` for each image, as the library WebDataset writes them. Nothing is ever
extracted.
"""

import re
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from ddw_graph.errors import DataError
from ddw_graph.training.names import Names

PICTURES = ("jpg", "jpeg", "png", "webp")
UNREAD = ("json", "txt")
"""Members beside image and class that are left alone; others are refused."""
CLASSES = 2**20
"""More than this are a mistake, and each would have weights."""
MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
"""WebDataset's rule: the key ends at the first dot of the file's name."""


@dataclass(frozen=True)
class ShardIndex:
    """Where images are, in the order of shards and of members in each.

    Args:
        shards: Name of each shard's file.
        images: Number of images in each shard.
        offsets: Where each image begins in its shard, bytes.
        sizes: Length of each image, bytes.
        labels: The class of each image.
        keys: Name of each image in its shard.
    """

    shards: tuple[str, ...]
    images: np.ndarray
    offsets: np.ndarray
    sizes: np.ndarray
    labels: np.ndarray
    keys: Names


def shard_index(paths: list[Path]) -> ShardIndex:
    """Returns where the images of shards are, reading every shard's headers.

    Raises:
        DataError: If a shard is no whole tar, or holds something else than images with
            a class each.
    """
    keys: list[str] = []
    rows: list[tuple[int, int, int]] = []
    counts = []
    for path in paths:
        before = len(rows)
        for key, row in _images(path):
            keys.append(key)
            rows.append(row)
        counts.append(len(rows) - before)
    offsets, sizes, labels = np.array(rows, np.int64).reshape(-1, 3).T.copy()
    names = tuple(path.name for path in paths)
    counted = np.array(counts, np.int64)
    return ShardIndex(names, counted, offsets, sizes, labels, Names.of(keys))


def _images(path: Path) -> list[tuple[str, tuple[int, int, int]]]:
    """Returns the images of one shard: name, and offset, size and class."""
    pictures: dict[str, tuple[str, int, int]] = {}
    labels: dict[str, int] = {}
    try:
        with open(path, "rb") as file:
            # Without "r:", a compressed one would be unpacked again for each image.
            with tarfile.open(fileobj=file, mode="r:") as shard:
                for member in shard:
                    _sort(path, file, member, pictures, labels)
                end = shard.offset
            _check_end(path, file, end)
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path}: a shard must be readable ({error})") from error
    except (tarfile.TarError, MemoryError, OverflowError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        rule = "a shard must be a whole, uncompressed tar"
        raise DataError(f"{path}: {rule} ({reason})") from error
    for what, has, others in (("class", pictures, labels), ("image", labels, pictures)):
        lacking = next((key for key in has if key not in others), None)
        if lacking is not None:
            raise DataError(
                f"{path}: each key must have an image and a .cls, {lacking!r} has no "
                f"{what}"
            )
    if not pictures:
        raise DataError(f"{path}: a shard must hold at least one image, got none")
    return [
        (name, (offset, size, labels[key]))
        for key, (name, offset, size) in pictures.items()
    ]


def _sort(
    path: Path,
    file: IO[bytes],
    member: tarfile.TarInfo,
    pictures: dict[str, tuple[str, int, int]],
    labels: dict[str, int],
) -> None:
    """Puts a member of a shard where it belongs."""
    name = member.name
    if name.startswith("/") or ".." in name.split("/"):
        raise DataError(f"{path}: names must lie within the shard, got {name!r}")
    if member.isdir():
        return
    plain = member.type in (tarfile.REGTYPE, tarfile.AREGTYPE)
    if not plain or member.issparse():
        raise DataError(f"{path}: members must be plain files, {name!r} is none")
    parts = MEMBER.fullmatch(name)
    key, kind = parts.groups() if parts else (name, "")
    kind = kind.lower()
    if kind in UNREAD:
        return
    if kind not in (*PICTURES, "cls"):
        allowed = ", ".join((*PICTURES, "cls", *UNREAD))
        raise DataError(f"{path}: members must end with {allowed}, got {name!r}")
    if key in (labels if kind == "cls" else pictures):
        what = "class" if kind == "cls" else "image"
        raise DataError(f"{path}: each key must have one {what}, {key!r} has two")
    if kind == "cls":
        file.seek(member.offset_data)
        text = file.read(min(member.size, 32)).strip()
        if file.tell() < member.offset_data + min(member.size, 32):
            raise DataError(f"{path}: a shard must be whole, {name!r} is cut short")
        if not (text.isdigit() and member.size <= 32 and int(text) < CLASSES):
            raise DataError(
                f"{path}: a class must be a number in [0, {CLASSES}), {name!r} holds "
                f"{text.decode(errors='replace')!r}"
            )
        labels[key] = int(text)
    else:
        pictures[key] = name, member.offset_data, member.size


def _check_end(path: Path, file: IO[bytes], offset: int) -> None:
    """Checks that a shard ends as a tar does: tarfile takes any end for one."""
    file.seek(offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise DataError(
            f"{path}: a shard must end with a block of zeros, got none at byte "
            f"{offset}: it was cut short, or its headers are damaged"
        )
