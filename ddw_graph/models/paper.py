"""The figures of the paper's tables."""

import csv
from functools import cache
from pathlib import Path

PAPER_TABLES = Path(__file__).with_name("paper_tables.csv")


@cache
def paper_figures(table: str) -> dict[tuple[str, str], float]:
    """Returns the figures of a table of the paper, by row and column.

    Example:
        >>> paper_figures("table4")["DDW", "top1"]
        73.52
    """
    with PAPER_TABLES.open(newline="") as file:
        return {
            (line["row"], line["column"]): float(line["value"])
            for line in csv.DictReader(file)
            if line["table"] == table
        }
