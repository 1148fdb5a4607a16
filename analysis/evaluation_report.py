"""How trained runs do on images, as a table and a file."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ddw_graph.analysis.markdown import accuracy_cells, markdown_table, number

Rows = Sequence[Mapping[str, Any]]


def evaluation_table(table: Rows) -> str:
    """Returns the summary of evaluations as a Markdown table.

    Args:
        table: A row for each configuration, from ``evaluation_summary``.
    """
    columns = (
        "run",
        "seeds",
        "accuracy, %",
        "sd",
        "paired difference, points (95 % interval)",
        "top-5 accuracy, %",
        "loss",
        "share of the MACs, %",
    )
    lines = [
        (
            *accuracy_cells(row),
            number(row["top5_accuracy"], ".2f"),
            number(row["loss"], ".4f"),
            number(100 * row["macs_share"], ".1f"),
        )
        for row in table
    ]
    return markdown_table(columns, lines)


def evaluation_csv(rows: Rows) -> str:
    """Returns evaluations, a row for each run, as CSV.

    Args:
        rows: From ``evaluations``.
    """
    return str(pd.DataFrame(rows).to_csv(index=False))
