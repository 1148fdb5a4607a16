"""Tables as CSV and Markdown, pictures as PNG: the files of a report."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ddw_graph.atomic import write_bytes
from ddw_graph.experiments.summary import ACCURACY, Metric
from ddw_graph.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Row = Mapping[str, Any]
Table = pd.DataFrame | Iterable[Row]
Column = str | Callable[[Row], str]


def markdown_table(columns: Mapping[str, Column], table: Table) -> str:
    """Returns a table in Markdown.

    Args:
        columns: By the column's title the text of a cell: a format of the row's values,
            which gives a dash where a value is None or NaN, or a function of the row.
        table: A DataFrame, or rows by the names of their columns.

    Example:
        >>> rows = [{"name": "a|b", "x": 1}, {"name": "c", "x": None}]
        >>> print(markdown_table({"name": "{name}", "x": "{x:.1f}"}, rows), end="")
        | name | x |
        | --- | --- |
        | a\\|b | 1.0 |
        | c | – |
    """

    def cell(column: Column, row: Row) -> str:
        if callable(column):
            return column(row)
        try:
            return column.format_map(row)
        except TypeError:  # None has no digits
            return "–"

    rows: Any = table
    if isinstance(table, pd.DataFrame):
        objects = table.astype(object)
        rows = objects.where(objects.notna(), None).to_dict("records")
    lines = [list(columns), ["---"] * len(columns)]
    lines += [[cell(column, row) for column in columns.values()] for row in rows]
    cells = [[printable(text).replace("|", r"\|") for text in line] for line in lines]
    return "".join(f"| {' | '.join(line)} |\n" for line in cells)


def number(value: float | None, form: str) -> str:
    """Returns a number in a form; a dash for None."""
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
    """Returns columns of a summary: entry, seeds, score and its std, difference.

    ``name`` is the title of the first, ``to`` words of that of the last.
    """
    digits = metric.digits
    return {
        name: "{entry}",
        "seeds": "{seeds}",
        metric.title: f"{{{metric.name}:.{digits}f}}",
        "std": f"{{{metric.name}_std:.{digits}f}}",
        f"paired difference{to}, {metric.unit} (95 % interval)": difference(
            "difference", digits
        ),
    }


def write_files(
    folder: Path,
    *,
    tables: Mapping[str, Table],
    pictures: "Mapping[str, Figure] | None" = None,
    texts: Mapping[str, str] | None = None,
) -> list[Path]:
    """Writes the files of a report, each whole, and returns their paths.

    Args:
        folder: Where to; made if it is not there.
        tables: By their names; written as ``NAME.csv``.
        pictures: By their names; written as ``NAME.png``.
        texts: By the names of their files.
    """
    from ddw_graph.analysis.pictures import rendered

    files = {f"{name}.csv": csv_bytes(table) for name, table in tables.items()}
    files |= {name: text.encode() for name, text in (texts or {}).items()}
    files |= {
        f"{name}.png": rendered(figure, ".png")
        for name, figure in (pictures or {}).items()
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, [content], overwrite=True)
    return [folder / name for name in files]


def csv_bytes(table: Table) -> bytes:
    """Returns a table as CSV, with printable texts."""
    rows: Any = table
    return printable_table(pd.DataFrame(rows)).to_csv(index=False).encode()


def printable_table(table: pd.DataFrame) -> pd.DataFrame:
    """Returns a table in which no text is a command to a terminal."""
    return table.map(lambda value: printable(value) if type(value) is str else value)
