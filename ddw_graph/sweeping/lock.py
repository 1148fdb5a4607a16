"""Locks that no dead process can hold: the system releases them with their owner."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Takes a lock for a while, and gives whether it could.

    It is ``flock`` on a file that is made for it and never removed: a name that came
    and went could be locked twice. Children do not inherit it. On NFS it holds between
    machines where the server keeps locks, which is NFS's default, and not on what is
    mounted with ``nolock`` or ``local_lock``.

    Args:
        path: The file; its folder must exist.
        seconds: How long to wait for another owner. ``is_locked`` is one for a moment.
    """
    # Open for writing: NFS gives no exclusive lock on what is only read.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    until = time.monotonic() + seconds
    try:
        taken = _taken(file, fcntl.LOCK_EX)
        while not taken and time.monotonic() < until:
            time.sleep(0.02)
            taken = _taken(file, fcntl.LOCK_EX)
        yield taken
    finally:
        os.close(file)


def is_locked(path: Path) -> bool:
    """Returns whether a living process holds a lock."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look do not see each other.
        return not _taken(file, fcntl.LOCK_SH)
    finally:
        os.close(file)


def _taken(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
