"""Reports: the tables and the pictures of a comparison, from its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import accuracy_figure, budget_figure
from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
from ddw_graph.analysis.markdown import interval, markdown_table, number
from ddw_graph.analysis.pictures import STYLE, plain
from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.experiments.compare import Comparison, Entry
from ddw_graph.experiments.summary import summary
from ddw_graph.training.collection import Collection
from ddw_graph.training.run import Run
from ddw_graph.wiring import from_dict

PICTURE = ("png",)

COLUMNS = {
    "entry": "wiring and edges",
    "seeds": "seeds",
    "accuracy": "accuracy, %",
    "accuracy_std": "sd",
    "difference": "paired difference, points (95 % interval)",
    "parameters": "parameters",
    "macs": "MACs, M",
    "total_macs": "total MACs, M",
    "expected_macs": "expected MACs, M (share of total)",
    "train_seconds": "training, s",
    "inference_ms": "inference, ms an image",
}
FORMS = {
    "accuracy": ".2f",
    "accuracy_std": ".2f",
    "parameters": ",.0f",
    "macs": ".2f",
    "total_macs": ".2f",
    "train_seconds": ".1f",
    "inference_ms": ".3f",
}


def markdown_summary(table: Sequence[Mapping[str, Any]]) -> str:
    """Returns a comparison's summary as a Markdown table."""

    def cell(row: Mapping[str, Any], key: str) -> str:
        value = row.get(key)
        if key == "entry":
            return str(value)
        if key == "difference":
            ends = row.get("difference_low"), row.get("difference_high")
            return interval(value, *ends)
        if key == "expected_macs" and value is not None:
            return f"{value / 1e6:.2f} ({value / row['total_macs']:.0%})"
        if key in ("macs", "total_macs") and value is not None:
            value /= 1e6
        return number(value, FORMS.get(key, ""))

    return markdown_table(
        list(COLUMNS.values()), ([cell(row, key) for key in COLUMNS] for row in table)
    )


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
    files = ReportFiles(folder)
    files.table("runs.csv", rows)
    files.table("summary.csv", table)
    files.text("summary.md", markdown_summary(table))
    files.picture("accuracy", accuracy_figure(rows, table), PICTURE)
    if any(entry.budget is not None for entry in comparison.entries):
        files.picture("budget", budget_figure(rows, table), PICTURE)
    files.picture("wirings", _wirings(comparison, folder), PICTURE)
    collections = _collections(comparison, folder)
    if collections:
        labelled = {entry.label: each for entry, each in collections.items()}
        files.picture("edge_weights", weight_histograms(labelled), PICTURE)
    for entry, collection in collections.items():
        for column in ("mean", "std"):
            figure = weight_heatmaps(collection, column)
            files.picture(f"{column}-{entry.folder}", figure, PICTURE)
    return files.written


def _run_folder(comparison: Comparison, folder: Path, entry: str) -> Path:
    return folder / "runs" / entry / f"seed-{comparison.seeds[0]}"


def _collections(comparison: Comparison, folder: Path) -> dict[Entry, Collection]:
    """Returns each entry's edge weights over the test images, fixed ones left out."""
    return {
        entry: Run(_run_folder(comparison, folder, entry.folder)).analysis
        for entry in comparison.entries
        if not entry.edges.startswith("fixed")
    }


def _wirings(comparison: Comparison, folder: Path) -> Figure:
    """Returns the wiring of each entry's first stage, side by side."""
    # Entries that differ in their budgets alone share a wiring.
    own = {(entry.wiring, entry.edges): entry for entry in comparison.entries}
    entries = list(own.values())
    columns = min(2, len(entries))
    rows = -(-len(entries) // columns)
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(entries) :]:
            ax.set_axis_off()
        for ax, entry in zip(axes, entries, strict=False):
            run = _run_folder(comparison, folder, entry.folder)
            wiring = Run(run).model_config["wirings"][0]
            draw_wiring(from_dict(wiring), ax=ax)
            ax.set_title(plain(f"{entry.wiring}, stage 1"))
    return figure
