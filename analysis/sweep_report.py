"""The table and the picture of a sweep, from its folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.analysis.sweep_figure import graph_figure
from ddw_graph.training.run_folder import RunFolder


def write_sweep_report(folder: Path, rows: Sequence[Mapping[str, Any]]) -> list[Path]:
    """Writes ``runs.csv`` and ``graphs.png`` of a sweep, and returns their paths.

    Both are of the runs that have finished; without any there is nothing to write.

    Args:
        folder: The sweep's folder.
        rows: A row for each run that has finished, from ``table``.
    """
    if not rows:
        return []
    files = ReportFiles(folder)
    files.table("runs.csv", rows)
    axes = RunFolder(folder).content()["config"]["axes"]
    files.picture("graphs", graph_figure(rows, axes), ("png",))
    return files.written
