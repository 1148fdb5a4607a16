"""Names of classes, from a file beside shards."""

import json
from pathlib import Path

from ddw_graph.errors import DataError

FILES = ("classes.txt", "classes.json")


def class_names(root: Path) -> tuple[str, ...] | None:
    """Returns the name of each class from a folder's file of them; None without one.

    ``classes.txt`` has a name on each line, ``classes.json`` is a list of names; the
    first is that of class 0.

    Raises:
        DataError: If there are both files, or one that holds fewer than two names, or
            one twice.
    """
    found = [root / name for name in FILES if (root / name).exists()]
    if not found:
        return None
    if len(found) > 1:
        raise DataError(f"{root} must hold one of {' and '.join(FILES)}, got both")
    path = found[0]
    try:
        text = path.read_text(encoding="utf-8")
        names = json.loads(text) if path.suffix == ".json" else text.splitlines()
    except OSError as error:
        raise DataError(f"{path} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} must hold names of classes, got {error}") from error
    if not isinstance(names, list) or not all(
        isinstance(name, str) and name.strip() for name in names
    ):
        raise DataError(f"{path} must hold names of classes alone, none of them empty")
    names = [name.strip() for name in names]
    if len(names) < 2:
        raise DataError(f"{path} must name at least 2 classes, got {len(names)}")
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise DataError(f"{path} must name each class once, got {twice!r} twice")
    return tuple(names)
