"""The report of a comparison: tables and pictures, from its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import accuracy_figure, budget_figure
from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
from ddw_graph.analysis.pictures import plain, styled
from ddw_graph.analysis.report_files import (
    Column,
    markdown_table,
    score_columns,
    write_files,
)
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.experiments.compare import Comparison
from ddw_graph.experiments.summary import metric_of_summary, summary
from ddw_graph.training.run import Run
from ddw_graph.wiring import from_dict


def _expected(row: Mapping[str, Any]) -> str:
    macs = row["expected_macs"]
    return "–" if macs is None else f"{macs / 1e6:.2f} ({macs / row['total_macs']:.0%})"


COLUMNS: dict[str, Column] = {
    "parameters": "{parameters:,.0f}",
    "MACs, M": lambda row: f"{row['macs'] / 1e6:.2f}",
    "total MACs, M": lambda row: f"{row['total_macs'] / 1e6:.2f}",
    "expected MACs, M (share of total)": _expected,
    "training, s": "{train_seconds:.1f}",
    "inference, ms an image": "{inference_ms:.3f}",
}


def markdown_summary(table: Sequence[Mapping[str, Any]]) -> str:
    """Returns a comparison's summary as a Markdown table."""
    metric = metric_of_summary(table)
    return markdown_table(score_columns("wiring and edges", metric) | COLUMNS, table)


def write_report(
    comparison: Comparison, rows: Sequence[Mapping[str, Any]], folder: Path
) -> list[Path]:
    """Writes a comparison's tables and pictures, and returns their paths.

    Everything is made from the runs in the folder: ``runs.csv``, ``summary.csv`` and
    ``summary.md``, ``accuracy.png``, ``wirings.png``, where an entry has a budget
    ``budget.png``, and of the first seed's networks that carry weights
    ``edge_weights.png`` and each one's Fig. 4 and Fig. 5.

    Args:
        comparison: What was compared.
        rows: A row for each run, from ``run_comparison``.
        folder: The comparison's folder.
    """
    table = summary(rows)
    runs = {
        entry: Run(folder / "runs" / entry.folder / f"seed-{comparison.seeds[0]}")
        for entry in comparison.entries
    }
    # Entries that differ only in their budgets share a wiring.
    wirings = {
        (entry.wiring, entry.edges): run.model_config["wirings"][0]
        for entry, run in runs.items()
    }
    pictures = {
        "accuracy": accuracy_figure(rows, table),
        "wirings": _wirings([(name, wiring) for (name, _), wiring in wirings.items()]),
    }
    if any(entry.budget is not None for entry in comparison.entries):
        pictures["budget"] = budget_figure(rows, table)
    collections = {
        entry: run.analysis
        for entry, run in runs.items()
        if not entry.edges.startswith("fixed")
    }
    if collections:
        labelled = {entry.label: each for entry, each in collections.items()}
        pictures["edge_weights"] = weight_histograms(labelled)
    for entry, collection in collections.items():
        for column in ("mean", "std"):
            pictures[f"{column}-{entry.folder}"] = weight_heatmaps(collection, column)
    return write_files(
        folder,
        tables={"runs": rows, "summary": table},
        texts={"summary.md": markdown_summary(table)},
        pictures=pictures,
    )


@styled
def _wirings(wirings: Sequence[tuple[str, Mapping[str, Any]]]) -> Figure:
    """Returns named wirings of first stages, side by side."""
    columns = min(2, len(wirings))
    rows = -(-len(wirings) // columns)
    picture = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
    axes = picture.subplots(rows, columns, squeeze=False).ravel()
    for ax in axes:
        ax.set_axis_off()
    for ax, (name, wiring) in zip(axes, wirings, strict=False):
        draw_wiring(from_dict(wiring), ax=ax)
        ax.set_title(plain(f"{name}, stage 1"))
    return picture
