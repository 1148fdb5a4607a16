"""The report of a comparison: tables and pictures, from its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import accuracy_figure, budget_figure
from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
from ddw_graph.analysis.markdown import (
    accuracy_columns,
    figure,
    markdown_rows,
    number,
)
from ddw_graph.analysis.pictures import STYLE, plain
from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.analysis.wiring_drawing import draw_wiring
from ddw_graph.experiments.compare import Comparison, Entry
from ddw_graph.experiments.summary import summary
from ddw_graph.training.collection import Collection
from ddw_graph.training.run import Run
from ddw_graph.wiring import from_dict

PICTURE = ("png",)


def _expected(row: Mapping[str, Any]) -> str:
    macs = row.get("expected_macs")
    if macs is None:
        return number(None, "")
    return f"{macs / 1e6:.2f} ({macs / row['total_macs']:.0%})"


COLUMNS = {
    **accuracy_columns("wiring and edges"),
    "parameters": figure("parameters", ",.0f"),
    "MACs, M": figure("macs", ".2f", 1e6),
    "total MACs, M": figure("total_macs", ".2f", 1e6),
    "expected MACs, M (share of total)": _expected,
    "training, s": figure("train_seconds", ".1f"),
    "inference, ms an image": figure("inference_ms", ".3f"),
}


def markdown_summary(table: Sequence[Mapping[str, Any]]) -> str:
    """Returns a comparison's summary as a Markdown table."""
    return markdown_rows(COLUMNS, table)


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
            picture = weight_heatmaps(collection, column)
            files.picture(f"{column}-{entry.folder}", picture, PICTURE)
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
    # Entries that differ only in their budgets share a wiring.
    own = {(entry.wiring, entry.edges): entry for entry in comparison.entries}
    entries = list(own.values())
    columns = min(2, len(entries))
    rows = -(-len(entries) // columns)
    with matplotlib.rc_context(fname=STYLE):
        picture = Figure(figsize=(5.2 * columns, 3.4 * rows), layout="constrained")
        axes = picture.subplots(rows, columns, squeeze=False).ravel()
        for ax in axes[len(entries) :]:
            ax.set_axis_off()
        for ax, entry in zip(axes, entries, strict=False):
            run = _run_folder(comparison, folder, entry.folder)
            wiring = Run(run).model_config["wirings"][0]
            draw_wiring(from_dict(wiring), ax=ax)
            ax.set_title(plain(f"{entry.wiring}, stage 1"))
    return picture
