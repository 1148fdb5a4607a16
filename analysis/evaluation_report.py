"""Evaluations of trained runs as a table."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.analysis.markdown import accuracy_columns, figure, markdown_rows

COLUMNS = {
    **accuracy_columns("run"),
    "top-5 accuracy, %": figure("top5_accuracy", ".2f"),
    "loss": figure("loss", ".4f"),
    "share of the MACs, %": figure("macs_share", ".1f", 0.01),
}


def evaluation_table(table: Sequence[Mapping[str, Any]]) -> str:
    """Returns the summary of evaluations as a Markdown table.

    Args:
        table: A row for each configuration, from ``evaluation_summary``.
    """
    return markdown_rows(COLUMNS, table)
