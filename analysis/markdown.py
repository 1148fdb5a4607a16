"""Tables in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table in Markdown.

    Example:
        >>> print(markdown_table(["a", "b"], [["1", "2"]]), end="")
        | a | b |
        | --- | --- |
        | 1 | 2 |
    """
    lines = ["| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def number(value: float | None, form: str) -> str:
    """Returns a number in a form; a dash where there is none."""
    return "–" if value is None else format(value, form)


def interval(mean: float | None, low: float | None, high: float | None) -> str:
    """Returns a difference with its interval, in words of a table.

    Example:
        >>> interval(0.5, 0.1, 0.9), interval(0.5, None, None)
        ('+0.50 (+0.10 to +0.90)', '+0.50 (one seed)')
    """
    if mean is None:
        return "–"
    if low is None or high is None:
        return f"{mean:+.2f} (one seed)"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f})"


Row = Mapping[str, Any]
Column = Callable[[Row], str]


def markdown_rows(columns: Mapping[str, Column], rows: Iterable[Row]) -> str:
    """Returns rows as a table in Markdown.

    Args:
        columns: The text of a cell, as a function of its row, by the column's title.
        rows: The rows.

    Example:
        >>> print(markdown_rows({"a": text("a")}, [{"a": 1}]), end="")
        | a |
        | --- |
        | 1 |
    """
    cells = ([column(row) for column in columns.values()] for row in rows)
    return markdown_table(list(columns), cells)


def text(key: str) -> Column:
    """Returns the column of what a row holds."""
    return lambda row: str(row[key])


def figure(key: str, form: str, unit: float = 1) -> Column:
    """Returns the column of a number in a form; a dash where a row has none.

    Args:
        key: What a row calls it.
        form: Its form.
        unit: What it is divided by.
    """

    def cell(row: Row) -> str:
        value = row.get(key)
        return number(None if value is None else value / unit, form)

    return cell


def difference(key: str) -> Column:
    """Returns the column of a difference with its interval."""
    return lambda row: interval(*(row[f"{key}{end}"] for end in ("", "_low", "_high")))


def accuracy_columns(name: str, to: str = "") -> dict[str, Column]:
    """Returns columns of a summary: name, seeds, accuracy, its sd, difference.

    Args:
        name: Title of the first.
        to: What differences are to.
    """
    return {
        name: text("entry"),
        "seeds": text("seeds"),
        "accuracy, %": figure("accuracy", ".2f"),
        "sd": figure("accuracy_std", ".2f"),
        f"paired difference{to}, points (95 % interval)": difference("difference"),
    }
