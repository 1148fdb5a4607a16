"""The files of a report: tables, texts and pictures in one folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ddw_graph.analysis.pictures import rendered
from ddw_graph.atomic import write_bytes


def write_files(
    folder: Path,
    *,
    tables: Mapping[str, Sequence[Mapping[str, Any]]],
    pictures: Mapping[str, Figure],
    texts: Mapping[str, str] | None = None,
    formats: Sequence[str] = ("png",),
) -> list[Path]:
    """Writes the files of a report, each whole, and returns their paths.

    Args:
        folder: Where to; made if it is not there.
        tables: The rows of each table, written as CSV, by its name without ending.
        pictures: Each picture, by its name without ending.
        texts: Each text, by the name of its file.
        formats: The endings of the pictures.
    """
    files = {
        f"{name}.csv": pd.DataFrame(rows).to_csv(index=False).encode()
        for name, rows in tables.items()
    }
    files |= {name: text.encode() for name, text in (texts or {}).items()}
    files |= {
        f"{name}.{ending}": rendered(figure, f".{ending}")
        for name, figure in pictures.items()
        for ending in formats
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        write_bytes(folder / name, [content], overwrite=True)
    return [folder / name for name in files]
