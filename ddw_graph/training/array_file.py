"""Arrays in files: ``.npy`` that grow by rows, and are mapped from disk when read."""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from ddw_graph.errors import DataError


def check_format(content: Any, name: str, version: int) -> None:
    """Checks which format a JSON object says that it has.

    Raises:
        ValueError: If it is another one.
        KeyError: If it says none.
    """
    if (content["format"], content["version"]) != (name, version):
        raise ValueError(
            f"it must be {name} of version {version}, got "
            f"{content['format']!r} of version {content['version']!r}"
        )


class ArrayWriter:
    """Writes an ``.npy`` file row by row; a context manager.

    Args:
        path: Where to.
        shape: The shape of a row.
        dtype: The type of the numbers.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with ArrayWriter(Path(folder, "a.npy"), (2,)) as writer:
        ...         writer.add(np.ones((3, 2)))
        ...     np.load(Path(folder, "a.npy")).shape
        (3, 2)
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: str = "<f4") -> None:
        self.shape, self.dtype, self.rows = shape, dtype, 0
        self._file = path.open("wb")
        self._write_header()

    def __enter__(self) -> "ArrayWriter":
        """Returns the writer."""
        return self

    def add(self, rows: np.ndarray) -> None:
        """Adds rows."""
        self._file.write(rows.astype(self.dtype).tobytes())
        self.rows += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Writes how many rows there are."""
        with self._file:
            if kind is None:
                self._write_header()

    def _write_header(self) -> None:
        """Writes the header; NumPy leaves room for a larger number of rows."""
        self._file.seek(0)
        shape = self.rows, *self.shape
        header = {"descr": self.dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def mapped_array(
    path: Path, shape: tuple[int, ...], dtype: type[np.generic] = np.float32
) -> np.ndarray:
    """Returns the array of a file, mapped from disk; never an object.

    Raises:
        DataError: If the file does not hold a whole array of this shape and type.
    """
    try:
        with np.errstate(over="raise"):  # of a size that no number holds
            array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, TypeError, EOFError, ArithmeticError) as error:
        raise DataError(f"{path} must hold a whole array: {error}") from error
    if array.shape != shape or array.dtype != dtype:
        raise DataError(
            f"{path} must hold {np.dtype(dtype)} of shape {shape}, got {array.dtype} "
            f"of shape {array.shape}"
        )
    return array
