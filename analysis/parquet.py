"""Collections as Parquet, for tools that read tables of columns."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

from ddw_graph.analysis.statistics.samples import sample_table
from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection


def check_parquet() -> None:
    """Checks that Parquet can be written.

    Raises:
        DataError: If pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise DataError("Parquet needs pyarrow: pip install 'ddw_graph[parquet]'")


def write_parquet(collection: Collection) -> Path:
    """Writes a row for each sample into the collection's folder, and returns the path.

    Columns are those of ``sample_table``, and for each edge its weight, such as
    ``1:0-3``: stage 1, from node 0 to node 3.
    """
    assert collection.folder is not None, "the collection lies in a folder"
    names = [
        f"{place}:{source}-{target}"
        for place, stage in enumerate(collection.stages, start=1)
        for source, target in stage.edges
    ]
    weights = pd.DataFrame(collection.rows(), columns=names)
    path = collection.folder / "samples.parquet"
    content = sample_table(collection).join(weights).to_parquet(engine="pyarrow")
    write_bytes(path, [content], overwrite=True)
    return path
