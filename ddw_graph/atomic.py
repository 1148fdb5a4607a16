"""Files that are there as a whole or not at all."""

import filecmp
import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from ddw_graph.errors import FileError


def is_draft(path: Path) -> bool:
    """Returns whether this is what ``write_bytes`` left when its process was killed."""
    return path.name.startswith(".") and path.name.endswith(".tmp")


def check_free(path: str | os.PathLike[str], *, overwrite: bool) -> None:
    """Checks that a file could be written, before what it is to hold is made.

    Args:
        path: Where to.
        overwrite: Whether a file that is there may be replaced.

    Raises:
        FileError: If something is there and may not be replaced, or the folder is not.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileError(f"{path} needs its folder, got no {path.parent}")
    if os.path.lexists(path) and not overwrite:
        raise FileError(f"{path} is there already; replace it with --overwrite")


def write_bytes(
    path: str | os.PathLike[str], parts: Iterable[bytes], *, overwrite: bool
) -> bool:
    """Writes a file that appears all at once and returns whether it had to.

    Whatever interrupts the writing, ``path`` holds what it held before. A file that is
    there with the very same bytes is left alone.

    Args:
        path: Where to; its folder must exist.
        parts: The content, piece by piece.
        overwrite: Whether a file with other bytes may be replaced.

    Raises:
        FileError: If a file with other bytes is there and may not be replaced, or what
            is there is no regular file.
        OSError: If the folder or the disk refuses.
    """
    path = Path(path)
    if not path.name:
        raise FileError(f"a file needs a name, got {os.fspath(path)!r}")
    if os.path.lexists(path) and not path.is_file():
        raise FileError(f"only a regular file is ever replaced, got {path}")
    # Beside the target, since a rename is atomic within a file system only.
    draft = path.with_name(f".{path.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with open(draft, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        if not overwrite and _linked(draft, path):
            return True
        if os.path.lexists(path):
            if filecmp.cmp(draft, path, shallow=False):
                return False
            if not overwrite:
                raise FileError(
                    f"{path} is there already, with other content; replace it with "
                    "--overwrite"
                )
        os.replace(draft, path)
    except OSError as error:
        # The draft's name would tell the user nothing.
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        draft.unlink(missing_ok=True)
    return True


def _linked(draft: Path, path: Path) -> bool:
    """Returns whether a file got a second name that nothing had.

    Of two processes that make the same file one does, where renaming would let the
    second replace what the first has written.
    """
    try:
        os.link(draft, path)
    except OSError:  # there already, or a file system without links
        return False
    return True
