"""The report of an ablation: its table with the paper's figures, and its curves."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ddw_graph.analysis.comparison_figures import accuracy_figure
from ddw_graph.analysis.learning_curves import curve_figure, curves_of
from ddw_graph.analysis.report_files import (
    Column,
    markdown_table,
    number,
    score_columns,
    write_files,
)
from ddw_graph.experiments.ablations import Ablation, runs_of
from ddw_graph.experiments.compare import Comparison
from ddw_graph.experiments.summary import metric_of_summary, summary

Rows = Sequence[Mapping[str, Any]]

STEP_COLUMNS: dict[str, Column] = {
    "time of a step, ratio": "{step_ratio:.2f}",
    "saved for backward, MB": "{saved_mb:.0f}",
}


def ablation_summary(ablation: Ablation, rows: Rows) -> list[dict[str, Any]]:
    """Returns a row for each entry, the reference first, with the paper's accuracies.

    Args:
        ablation: Which.
        rows: A row for each run, from ``run_ablation``.
    """
    labels = {entry.label: entry for entry in ablation.entries}
    table = summary(rows)
    for row in table:
        for name, accuracies in ablation.paper.items():
            row[f"paper, {name}"] = accuracies.get(labels[row["entry"]])
    return table


def ablation_table(ablation: Ablation, table: Rows) -> str:
    """Returns the summary of an ablation as a Markdown table.

    The paper's accuracies have their differences to the same reference.
    """

    def of_paper(row: Mapping[str, Any], name: str) -> str:
        value, reference = row[f"paper, {name}"], table[0][f"paper, {name}"]
        if value is None or reference is None or row is table[0]:
            return number(value, ".2f")
        return f"{value:.2f} ({value - reference:+.2f})"

    metric = metric_of_summary(table)
    to = f" to {ablation.reference.label}"
    columns: dict[str, Column] = {
        **({"known as": "{name}"} if "name" in table[0] else {}),
        **score_columns("wiring and edges", metric, to),
        "parameters": "{parameters:,.0f}",
        "total MACs, M": lambda row: f"{row['total_macs'] / 1e6:.2f}",
        **(STEP_COLUMNS if "step_ratio" in table[0] else {}),
        **{
            f"paper: {name}, % (difference)": partial(of_paper, name=name)
            for name in ablation.paper
        },
    }
    return markdown_table(columns, table)


def described(comparison: Comparison) -> str:
    """Returns in a sentence how an ablation's networks were trained."""
    recipe = comparison.recipe
    sizes = {**comparison.settings, "channels": comparison.channels}
    plural = "" if recipe.epochs == 1 else "s"
    chosen = "".join(
        f", {name} {f'{value:g}' if isinstance(value, float) else value}"
        for name, value in sizes.items()
        if value is not None
    )
    return (
        f"{comparison.model}{chosen} on {comparison.source.name}, {recipe.epochs} "
        f"epoch{plural} with batches of {recipe.batch_size}, seeds "
        f"{', '.join(map(str, comparison.seeds))}. Every network is within "
        f"{comparison.tolerance:.0%} of the total MACs of "
        f"{comparison.entries[0].label}."
    )


def write_ablation(
    ablation: Ablation,
    comparison: Comparison,
    rows: Rows,
    table: Rows,
    folder: Path,
    tables: Mapping[str, Rows] | None = None,
) -> list[Path]:
    """Writes an ablation's tables, report and pictures, and returns their paths.

    In the folder of its name: ``runs.csv``, ``summary.csv``, ``report.md``, and
    ``accuracy`` and ``curves`` as PNG and SVG.

    Args:
        ablation: Which.
        comparison: How it was trained.
        rows: A row for each run, from ``run_ablation``.
        table: A row for each entry, from ``ablation_summary``.
        folder: The folder of the ablations.
        tables: Other tables to write, by name.
    """
    curves = curves_of(runs_of(ablation, comparison, folder))
    parts = [
        f"# {ablation.title}",
        described(comparison),
        ablation_table(ablation, table).rstrip(),
        *ablation.notes,
        "![Accuracy of each run, and paired differences](accuracy.png)",
        "![Loss and accuracy over epochs](curves.png)",
    ]
    return write_files(
        folder / ablation.name,
        tables={"runs": rows, "summary": table, **(tables or {})},
        texts={"report.md": "\n\n".join(parts) + "\n"},
        pictures={
            "accuracy": accuracy_figure(rows, table),
            "curves": curve_figure(curves, title=ablation.title),
        },
        formats=("png", "svg"),
    )
