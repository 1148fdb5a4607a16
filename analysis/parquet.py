"""Collections as Parquet, for tools that read tables of columns."""

from pathlib import Path

import pandas as pd

from ddw_graph.analysis.collect import sample_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

ROWS = 4096
"""Samples in memory at a time, and in a group of rows."""


def check_parquet() -> None:
    """Checks that Parquet can be written.

    Raises:
        DataError: If pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DataError(
            "Parquet needs pyarrow: pip install 'ddw_graph[parquet]'"
        ) from error


def write_parquet(collection: Collection) -> Path:
    """Writes a row for each sample into the collection's folder, and returns the path.

    Columns are ``sample`` (its row, from 0), ``label`` and ``prediction`` (names of
    classes), ``loss``, ``expected_macs``, and for each edge its weight, such as
    ``1:0-3``: stage 1, from node 0 to node 3.

    Raises:
        DataError: If pyarrow is not installed, or the collection is damaged.
    """
    check_parquet()
    assert collection.folder is not None, "the collection lies in a folder"
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    samples = sample_table(collection)
    names = [
        f"{place}:{source}-{target}"
        for place, stage in enumerate(collection.stages, start=1)
        for source, target in stage.edges
    ]

    def group(start: int) -> pa.Table:
        own = samples[start : start + ROWS]
        rows = collection.rows(slice(start, start + ROWS))
        weights = pd.DataFrame(rows, own.index, names)
        return pa.Table.from_pandas(own.join(weights), preserve_index=False)

    path = collection.folder / "samples.parquet"
    draft = path.with_name(".samples.parquet.partial")
    try:
        with ParquetWriter(draft, group(0).schema) as writer:
            for start in range(0, len(samples), ROWS):
                writer.write_table(group(start))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
