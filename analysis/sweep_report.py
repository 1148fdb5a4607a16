"""The table and the picture of a sweep, from its folder."""

from pathlib import Path

import pandas as pd

from ddw_graph.analysis.pictures import save_figure
from ddw_graph.analysis.sweep_figure import graph_figure
from ddw_graph.atomic import write_bytes
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.table import table
from ddw_graph.training.run import RunFolder


def write_sweep_report(folder: Path) -> list[Path]:
    """Writes ``runs.csv`` and ``graphs.png`` of a sweep, and returns their paths.

    Both are of the runs that have finished; without any there is nothing to write.

    Args:
        folder: The sweep's folder.
    """
    rows = table(SweepFolder(folder))
    if not rows:
        return []
    csv = folder / "runs.csv"
    text = pd.DataFrame(rows).to_csv(index=False)
    write_bytes(csv, [text.encode()], overwrite=True)
    picture = folder / "graphs.png"
    axes = RunFolder(folder).config()["axes"]
    save_figure(graph_figure(rows, axes), picture, overwrite=True)
    return [csv, picture]
