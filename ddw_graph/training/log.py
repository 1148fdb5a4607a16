"""A run's log: a line an epoch, as CSV and as JSON lines."""

import csv
import io
import json
import math
from collections.abc import Sequence
from pathlib import Path

from ddw_graph.errors import RunError

Row = dict[str, float]

CURVES = ("train_loss", "test_loss", "train_accuracy", "test_accuracy")
"""What a log tells of each epoch of any version."""


def csv_log(history: Sequence[Row]) -> str:
    """Returns a log as CSV.

    Example:
        >>> print(csv_log([{"epoch": 1, "train_loss": 0.5}]), end="")
        epoch,train_loss
        1,0.5
    """
    text = io.StringIO()
    # The first epochs may be those of an earlier version, which told less.
    names = list(dict.fromkeys(key for row in history for key in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


def json_log(history: Sequence[Row]) -> str:
    """Returns a log as JSON lines: an object an epoch.

    JSON knows no infinity and no NaN; null stands in their place.

    Example:
        >>> print(json_log([{"epoch": 1, "train_loss": 0.5}]), end="")
        {"epoch": 1, "train_loss": 0.5}
    """
    told = (
        {key: value if math.isfinite(value) else None for key, value in row.items()}
        for row in history
    )
    return "".join(json.dumps(row, allow_nan=False) + "\n" for row in told)


def finished_epochs(folder: Path) -> int:
    """Returns how many epochs the log of a run, damaged or not, tells of."""
    path = folder / "log.csv"
    return max(0, len(path.read_bytes().splitlines()) - 1) if path.is_file() else 0


def read_log(folder: Path) -> list[Row]:
    """Returns a run's log, from ``log.csv``, which every version writes.

    Raises:
        RunError: If there is none, or it is damaged or empty.
    """
    path = folder / "log.csv"
    if not path.is_file():
        raise RunError(f"a run's folder must hold log.csv, got {folder}")
    try:
        lines = csv.DictReader(io.StringIO(path.read_text()), strict=True)
        rows = [{k: float(v) for k, v in line.items() if v} for line in lines]
        needed = ("epoch", "train_loss")
        missing = {key for row in rows for key in needed if key not in row}
        if missing:
            raise ValueError(f"it lacks {', '.join(sorted(missing))}")
        if [row["epoch"] for row in rows] != list(range(1, len(rows) + 1)):
            raise ValueError("its epochs do not count from 1")
        if not all(math.isfinite(value) for row in rows for value in row.values()):
            raise ValueError("a number is not finite")
    except (AttributeError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} must be a whole log: {error}") from error
    if not rows:
        raise RunError(f"{path} must hold an epoch or more, got none")
    return rows
