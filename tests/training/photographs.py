"""Small data sets of files, in the formats that training reads."""

import io
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

Member = tuple[str, bytes]


def jpeg(seed: int, side: int = 40) -> bytes:
    """Returns the bytes of a JPEG."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, 30, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def members(first: int, count: int, classes: int = 2) -> list[Member]:
    """Returns the members of a shard: images with a class each."""
    return [
        member
        for place in range(first, first + count)
        for member in (
            (f"{place:04d}.jpg", jpeg(place)),
            (f"{place:04d}.cls", b"%d" % (place % classes)),
        )
    ]


def shard(path: Path, content: Iterable[Member | tarfile.TarInfo]) -> Path:
    """Writes a tar."""
    with tarfile.open(path, "w") as file:
        for member in content:
            if isinstance(member, tarfile.TarInfo):
                file.addfile(member)
                continue
            name, data = member
            info = tarfile.TarInfo(name)
            info.size = len(data)
            file.addfile(info, io.BytesIO(data))
    return path


def shards(root: Path, counts: Iterable[int] = (5, 7, 6), val: int = 4) -> Path:
    """Writes a set of shards with so many images each."""
    root.mkdir(parents=True, exist_ok=True)
    first = 0
    for number, count in enumerate(counts):
        shard(root / f"train-{number:06d}.tar", members(first, count))
        first += count
    shard(root / "val-000000.tar", members(1000, val))
    return root


def image_folder(
    root: Path, each: int = 6, classes: Sequence[str] = "ab", val: int = 2
) -> Path:
    """Writes an image folder with so many images of each class."""
    for split, count, first in (("train", each, 0), ("val", val, 1000)):
        for place, name in enumerate(classes):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                content = jpeg(first + 100 * place + number)
                (folder / f"{number:03d}.jpg").write_bytes(content)
    return root
