"""Locks that no dead process can hold: the system releases them with their owner."""

import errno
import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

if sys.platform != "win32":
    import fcntl

LOGGER = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What is said where no locks are kept, as on Lustre without its option flock."""

_open: set[int] = set()
"""The files of the locks that this process holds, or asks for."""


def _leave_to_parent() -> None:
    # A forked process that loads images, say, may outlive its parent by seconds. The
    # lock would be held by it too, for as long as it has the file open.
    for file in _open:
        os.close(file)
    _open.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_leave_to_parent)


@contextmanager
def lock(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Takes a lock for a while, and gives whether it could.

    It is ``flock`` on a file that is never removed or replaced: a name that came and
    went could be locked twice. Children do not inherit it, not even forked ones. On NFS
    it holds between machines where the server keeps locks, which is NFS's default, and
    not on what is mounted with ``nolock`` or ``local_lock``. Where no locks are kept,
    as on Lustre without its option ``flock``, a warning says so and all get theirs.

    Args:
        path: The file; its folder must exist.
        seconds: How long to wait for another owner. ``is_locked`` is one for a moment.

    Raises:
        OSError: If the file cannot be opened for writing.
    """
    # Open for writing: NFS gives no exclusive lock on what is only read.
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    _open.add(file)
    until = time.monotonic() + seconds
    try:
        taken = _taken(file)
        while not taken and time.monotonic() < until:
            time.sleep(0.02)
            taken = _taken(file)
        yield taken
    finally:
        # A child that leaves this block has closed it already.
        if file in _open:
            _open.remove(file)
            os.close(file)


def is_locked(path: Path) -> bool:
    """Returns whether a living process holds a lock; no where none are kept."""
    try:
        file = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        # Shared, so that two who look do not see each other.
        return not _taken(file, shared=True)
    finally:
        os.close(file)


@cache
def _warn() -> None:
    """Says once that nobody is kept out."""
    LOGGER.warning(
        "no locks are kept on this file system: see to it that nothing else trains in "
        "the same folder"
    )


def _taken(file: int, *, shared: bool = False) -> bool:
    """Returns whether a lock could be taken; all can be where none are kept."""
    try:
        if sys.platform == "win32":
            raise OSError(errno.ENOSYS, "locks are those of POSIX")
        kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        # Who only looks keeps nobody out anyway.
        if not shared:
            _warn()
    return True
