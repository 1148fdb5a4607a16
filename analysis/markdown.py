"""Tables in Markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ddw_graph.experiments.summary import ACCURACY, Metric

Row = Mapping[str, Any]
Column = str | Callable[[Row], str]


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


def markdown_rows(columns: Mapping[str, Column], rows: Iterable[Row]) -> str:
    """Returns rows as a table in Markdown.

    Args:
        columns: By the column's title the text of a cell: a format of the row's values,
            which gives a dash where a value is None, or a function of the row.
        rows: The rows.

    Example:
        >>> print(markdown_rows({"b": "{a:.1f}"}, [{"a": 1}, {"a": None}]), end="")
        | b |
        | --- |
        | 1.0 |
        | – |
    """

    def cell(column: Column, row: Row) -> str:
        if callable(column):
            return column(row)
        try:
            return column.format_map(row)
        except TypeError:  # None has no digits
            return "–"

    cells = ([cell(column, row) for column in columns.values()] for row in rows)
    return markdown_table(list(columns), cells)


def number(value: float | None, form: str) -> str:
    """Returns a number in a form; a dash where there is none."""
    return "–" if value is None else format(value, form)


def difference(key: str, digits: int = 2) -> Callable[[Row], str]:
    """Returns the column of a difference with its interval.

    Example:
        >>> column = difference("d")
        >>> column({"d": 0.5, "d_low": 0.1, "d_high": 0.9})
        '+0.50 (+0.10 to +0.90)'
        >>> column({"d": 0.5, "d_low": None, "d_high": None})
        '+0.50 (one seed)'
    """

    def cell(row: Row) -> str:
        mean, low, high = (row[f"{key}{end}"] for end in ("", "_low", "_high"))
        if mean is None:
            return "–"
        form = f"+.{digits}f"
        ends = "one seed" if low is None else f"{low:{form}} to {high:{form}}"
        return f"{mean:{form}} ({ends})"

    return cell


def score_columns(
    name: str, metric: Metric = ACCURACY, to: str = ""
) -> dict[str, Column]:
    """Returns columns of a summary: name, seeds, score, its sd, difference.

    Args:
        name: Title of the first.
        metric: What is compared.
        to: What differences are to.
    """
    digits = metric.digits
    return {
        name: "{entry}",
        "seeds": "{seeds}",
        metric.title: f"{{{metric.name}:.{digits}f}}",
        "sd": f"{{{metric.name}_std:.{digits}f}}",
        f"paired difference{to}, {metric.unit} (95 % interval)": difference(
            "difference", digits
        ),
    }
