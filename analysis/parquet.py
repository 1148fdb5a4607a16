"""Collections as Parquet, for tools that read tables of columns."""

from pathlib import Path

import numpy as np

from ddw_graph.analysis.collect import sample_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

ROWS = 4096
"""Samples of a group of rows, which is what memory holds."""


def check_parquet() -> None:
    """Checks that Parquet can be written.

    Raises:
        DataError: If pyarrow is not there.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise DataError(
            "Parquet needs pyarrow: pip install 'ddw_graph[parquet]'"
        ) from error


def write_parquet(collection: Collection) -> Path:
    """Writes a row for each sample beside what it is of, and returns the path.

    Columns are ``sample`` (its row, from 0), ``label`` and ``prediction`` (names of
    classes), ``loss``, ``expected_macs``, and for each edge its weight, such as
    ``1:0-3``: stage 1, from node 0 to node 3.

    Raises:
        DataError: If pyarrow is not there, or the collection is damaged.
    """
    check_parquet()
    assert collection.folder is not None, "the collection lies in a folder"
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    table = sample_table(collection)
    weights = [collection.weights(place) for place in range(len(collection.stages))]
    names = [
        [f"{place}:{source}-{target}" for source, target in stage.edges]
        for place, stage in enumerate(collection.stages, start=1)
    ]
    path = collection.folder / "samples.parquet"
    draft = path.with_name(".samples.parquet.partial")
    writer = None
    try:
        for start in range(0, collection.samples, ROWS):
            here = slice(start, start + ROWS)
            part = pa.Table.from_pandas(table.iloc[here], preserve_index=False)
            for own, array in zip(names, weights, strict=True):
                for name, column in zip(own, array[here].T, strict=True):
                    part = part.append_column(name, pa.array(np.array(column)))
            writer = writer or ParquetWriter(draft, part.schema)
            writer.write_table(part)
        assert writer is not None
        writer.close()
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path
