"""Tables in Markdown."""

from collections.abc import Iterable, Mapping, Sequence
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


def accuracy_cells(row: Mapping[str, Any]) -> list[str]:
    """Returns entry, seeds, accuracy, deviation and difference of a summary's row.

    Args:
        row: From ``ddw_graph.experiments.summary.accuracies``.
    """
    return [
        row["entry"],
        str(row["seeds"]),
        number(row["accuracy"], ".2f"),
        number(row["accuracy_std"], ".2f"),
        interval(row["difference"], row["difference_low"], row["difference_high"]),
    ]
