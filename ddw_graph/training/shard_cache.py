"""The index of shards, kept beside them: reading a million headers takes minutes."""

import io
from contextlib import suppress
from pathlib import Path

import numpy as np

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import FileError
from ddw_graph.training.names import Names
from ddw_graph.training.shard_index import CLASSES, ShardIndex, shard_index


def kept_index(paths: list[Path], cache: Path) -> ShardIndex:
    """Returns where the images of shards are, from a file where that still holds.

    It holds while every shard has the name, length and time of change that it had.
    Whatever else the file may be, shards are read again, and it is replaced where the
    folder can be written to.

    Args:
        paths: The shards.
        cache: The file, which ``numpy`` reads without running code.

    Raises:
        DataError: If a shard is no whole tar, or holds something else than images with
            a class each.
    """
    stats = [path.stat() for path in paths]
    seen = np.array([(s.st_size, s.st_mtime_ns) for s in stats], np.int64)
    try:
        return _read(paths, seen, cache)
    except Exception:  # a damaged file can make the reader raise anything
        index = shard_index(paths)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        shards=np.frombuffer(_joined(index.shards), np.uint8),
        seen=seen,
        images=index.images,
        offsets=index.offsets,
        sizes=index.sizes,
        labels=index.labels,
        text=np.frombuffer(index.keys.text, np.uint8),
        ends=index.keys.ends,
    )
    with suppress(OSError, FileError):
        write_bytes(cache, [buffer.getvalue()], overwrite=True)
    return index


def _joined(names: tuple[str, ...]) -> bytes:
    return "\0".join(names).encode()


def _read(paths: list[Path], seen: np.ndarray, cache: Path) -> ShardIndex:
    """Returns the index in a file.

    Raises:
        Exception: If the file is no index of these shards.
    """
    # Opened here: where there is no archive in it, NumPy leaves it open.
    with cache.open("rb") as content, np.load(content, allow_pickle=False) as file:
        shards = tuple(path.name for path in paths)
        if file["shards"].tobytes() != _joined(shards):
            raise ValueError("of other shards")
        if not np.array_equal(file["seen"], seen):
            raise ValueError("of shards that have changed")
        images, ends = file["images"], file["ends"]
        columns = [file[name] for name in ("offsets", "sizes", "labels")]
        text = file["text"].tobytes()
    for array in (images, ends, *columns):
        if array.dtype != np.int64 or array.ndim != 1 or array.min() < 0:
            raise ValueError("not of whole numbers")
    offsets, sizes, labels = columns
    count = len(ends)
    last = np.repeat(seen[:, 0], images)
    if not (
        len(images) == len(paths)
        and images.sum() == count == len(offsets) == len(sizes) == len(labels)
        and bool((np.diff(ends, prepend=0) >= 0).all())
        and int(ends[-1]) == len(text)
        and bool((sizes <= last).all() and (offsets <= last - sizes).all())
        and int(labels.max()) < CLASSES
    ):
        raise ValueError("of images that cannot be there")
    return ShardIndex(shards, images, offsets, sizes, labels, Names(text, ends))
