"""Locks that no dead process can hold: the system releases them with their owner."""

import errno
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

if sys.platform != "win32":
    import fcntl

LOGGER = logging.getLogger(__name__)

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of file systems without locks, such as Lustre without its option flock."""


@contextmanager
def lock(path: Path, *, seconds: float = 0.0) -> Iterator[bool]:
    """Takes a lock within, and yields whether it could.

    Forked children do not inherit it. On NFS it holds between machines where the server
    keeps locks, which is NFS's default, and not on a mount with ``nolock`` or
    ``local_lock``. On a file system without locks every process gets it, after a
    warning.

    Args:
        path: A file that holds nothing else; its folder is made if it is missing.
        seconds: How long to wait for another owner. ``is_locked`` is one for a moment.

    Raises:
        OSError: If the file cannot be opened for writing.
    """
    # A soft lock, which filelock would take instead, outlives its owner.
    file = FileLock(path, fallback_to_soft=False)
    taken = True
    try:
        file.acquire(timeout=seconds, poll_interval=0.02)
    except Timeout:
        taken = False
    except (OSError, NotImplementedError) as error:
        if isinstance(error, OSError) and error.errno not in NO_LOCKS:
            raise
        _warn()
    try:
        yield taken
    finally:
        file.release()


def is_locked(path: Path) -> bool:
    """Returns whether a living process holds a lock; no where none are kept."""
    if not path.exists():
        return False
    if sys.platform == "win32":
        with lock(path) as taken:
            return not taken
    try:
        # Shared, so that two who look do not see each other, and need not write.
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in (errno.EAGAIN, *NO_LOCKS):
            raise
        return error.errno == errno.EAGAIN
    return False


@cache
def _warn() -> None:
    """Warns once that nobody is kept out."""
    LOGGER.warning(
        "no locks are kept on this file system: make sure that nothing else trains in "
        "the same folder"
    )
