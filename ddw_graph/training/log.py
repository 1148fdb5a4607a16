"""A run's log, a row for each epoch; and other tables of numbers, as CSV."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import RunError

Row = dict[str, float]


def write_rows(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Writes a table of numbers as CSV, in place of one that is there."""
    text = io.StringIO()
    # Detection has figures that are not defined in every epoch.
    names = list(dict.fromkeys(key for row in rows for key in row))
    writer = csv.DictWriter(text, fieldnames=names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_bytes(path, [text.getvalue().encode()], overwrite=True)


def read_rows(path: Path) -> list[Row]:
    """Returns the rows of ``write_rows``.

    Raises:
        RunError: If the file cannot be read, or holds anything but finite numbers.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = csv.DictReader(io.StringIO(text), strict=True)
        rows = [{k: float(v) for k, v in line.items() if v != ""} for line in lines]
        if not all(math.isfinite(value) for row in rows for value in row.values()):
            raise ValueError("a number is not finite")
    except (OSError, AttributeError, TypeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} must be a whole log: {error}") from error
    return rows


def read_log(folder: Path) -> list[Row]:
    """Returns a run's log, from ``log.csv``.

    Raises:
        RunError: If there is none, or it is damaged or empty.
    """
    path = folder / "log.csv"
    if not path.is_file():
        raise RunError(f"a run's folder must hold log.csv, got {folder}")
    rows = read_rows(path)
    if not all("train_loss" in row for row in rows):
        raise RunError(f"{path} must be a whole log: it lacks train_loss")
    if [row.get("epoch") for row in rows] != list(range(1, len(rows) + 1)):
        raise RunError(f"{path} must be a whole log: its epochs do not count from 1")
    if not rows:
        raise RunError(f"{path} must hold an epoch or more, got none")
    return rows


def finished_epochs(folder: Path) -> int:
    """Returns the number of epochs in the log of a run, damaged or not."""
    path = folder / "log.csv"
    return max(0, len(path.read_bytes().splitlines()) - 1) if path.is_file() else 0


def score_text(row: Mapping[str, Any]) -> str:
    """Returns how a network did, from a row of its log or its result.

    Example:
        >>> score_text({"test_accuracy": 0.5, "test_loss": 1.0})
        'test accuracy 50.00 %'
    """
    if "test_perplexity" in row:
        return f"held-out loss {row['test_loss']:.4f} nats a token"
    return f"test accuracy {100 * row['test_accuracy']:.2f} %"
