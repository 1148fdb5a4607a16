"""Tables as text."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def printed(table: "pd.DataFrame") -> str:
    """Returns a table for the terminal, numbers in four digits."""
    from ddw_graph.analysis.report_files import printable_table

    return printable_table(table).to_string(
        index=False, float_format=lambda value: f"{value:.4g}"
    )


def figure_table(report: dict[str, Any]) -> str:
    """Returns COCO's figures as a table."""
    from ddw_graph.analysis.report_files import markdown_table
    from ddw_graph.detection.figures import FIGURES

    rows = [{"figure": name, "value": report[name]} for name in FIGURES]
    return markdown_table({"figure": "{figure}", "value": "{value:.3f}"}, rows).rstrip()


def evaluation_table(table: Sequence[Mapping[str, Any]]) -> str:
    """Returns the rows of ``evaluation_summary`` as a Markdown table."""
    from ddw_graph.analysis.report_files import markdown_table, score_columns
    from ddw_graph.experiments.summary import ACCURACY, metric_of_summary

    metric = metric_of_summary(table)
    of_images = {"top-5 accuracy, %": "{top5_accuracy:.2f}", "loss": "{loss:.4f}"}
    columns = {
        **score_columns("run", metric),
        **(of_images if metric is ACCURACY else {}),
        "share of the MACs, %": lambda row: f"{100 * row['macs_share']:.1f}",
    }
    return markdown_table(columns, table)
