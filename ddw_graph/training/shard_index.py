"""Where each image of a set of shards is: read from tar files once, then kept.

A shard is an uncompressed tar with ``KEY.jpg`` (or ``.jpeg``, ``.png``, ``.webp``) and
``KEY.cls`` for each image, as the library WebDataset writes them. Nothing is ever
extracted.
"""

import io
import re
import tarfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, FileError, reason_of

PICTURES = ("jpg", "jpeg", "png", "webp")
UNREAD = ("json", "txt")
"""Members besides image and class that are left alone; others are refused."""
CLASSES = 2**20
"""More than this are a mistake, and each would have weights."""
MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
"""WebDataset's rule: the key ends at the first dot of the file's name."""


@dataclass(frozen=True)
class ShardIndex:
    """Where images are, in the order of shards and of members in each.

    Args:
        shards: Name of each shard's file.
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


def kept_index(paths: list[Path], cache: Path) -> ShardIndex:
    """Returns where the images of shards are, from a file while that is true.

    It is true while every shard has the name, length and time of change that it had.
    Otherwise, or if the file is damaged, shards are read again and it is replaced,
    where the folder can be written to.

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
    try:
        return _read(shards, seen, cache)
    except Exception:  # a damaged file can make the reader raise anything
        index = shard_index(paths, seen)
    buffer, text = io.BytesIO(), np.frombuffer(index.names, np.uint8)
    np.savez(buffer, shards=shards, seen=seen, images=index.images, names=text)
    with suppress(OSError, FileError):
        write_bytes(cache, [buffer.getvalue()], overwrite=True)
    return index


def _read(shards: tuple[str, ...], seen: np.ndarray, cache: Path) -> ShardIndex:
    """Returns the index in a file, or raises if it is not one of these shards."""
    # Opened here: where there is no archive in it, NumPy leaves it open. The archive
    # has checksums of its arrays.
    with cache.open("rb") as content, np.load(content, allow_pickle=False) as file:
        images, names = file["images"], file["names"].tobytes()
        same = file["shards"].tolist() == list(shards)
        if not same or not np.array_equal(file["seen"], seen):
            raise ValueError("not the index of these shards")
    return ShardIndex(shards, seen, images, names)


def shard_index(paths: list[Path], seen: np.ndarray) -> ShardIndex:
    """Returns where the images of shards are, reading every shard's headers.

    Args:
        paths: The shards.
        seen: Length and time of change of each.
    """
    names: list[str] = []
    rows: list[tuple[int, int, int, int]] = []
    for place, path in enumerate(paths):
        for name, row in _images(path):
            names.append(name)
            rows.append((place, *row))
    text = "\0".join(names).encode(errors="surrogateescape")
    shards = tuple(path.name for path in paths)
    return ShardIndex(shards, seen, np.array(rows, np.int64), text)


def _images(path: Path) -> list[tuple[str, tuple[int, int, int]]]:
    """Returns the images of one shard: name, and offset, size and class."""
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
    return [
        (has["image"][0], (*has["image"][1:], has["class"])) for has in found.values()
    ]


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
