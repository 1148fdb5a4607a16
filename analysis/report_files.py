"""The files of a report: tables, text and pictures in one folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import save_figure
from ddw_graph.atomic import write_bytes


class ReportFiles:
    """Writes a report's files, each whole, and remembers their paths.

    Args:
        folder: Where to; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.written: list[Path] = []

    def text(self, name: str, content: str) -> None:
        """Writes a text."""
        path = self.folder / name
        write_bytes(path, [content.encode()], overwrite=True)
        self.written.append(path)

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Writes a table as CSV."""
        self.text(name, pd.DataFrame(rows).to_csv(index=False))

    def picture(
        self, name: str, figure: Figure, endings: Sequence[str] = ("png", "svg")
    ) -> None:
        """Writes a picture, in each of some formats."""
        for ending in endings:
            path = self.folder / f"{name}.{ending}"
            save_figure(figure, path, overwrite=True)
            self.written.append(path)
