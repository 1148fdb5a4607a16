"""Weights by position: all of them, of the first samples of a collection."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ddw_graph.errors import DataError, reason_of
from ddw_graph.training.array_file import check_format, mapped_array

FORMAT = "ddw_graph.positions"
VERSION = 1
NAME = "positions.json"


@dataclass(frozen=True, eq=False)
class Positions:
    """The weights by position of a collection's first samples.

    Args:
        arrays: The effective multipliers of each stage, averaged over channels:
            ``(samples, edges, *positions)``, and ``(samples, edges)`` where weights do
            not differ by position.
        inputs: What the network was given: images, or whole numbers that are tokens,
            ``(samples, tokens)``.
        vocabulary: The text of each token, if it is known.
    """

    arrays: tuple[Float[np.ndarray, "samples _ ..."], ...] = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    vocabulary: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.inputs)

    @property
    def tokens(self) -> np.ndarray:
        """The tokens of each sample, ``(samples, tokens)``.

        Raises:
            DataError: If the network was given something else.
        """
        if not _are_tokens(self.inputs.dtype, self.inputs.ndim):
            raise DataError(
                "this needs samples that are tokens, got inputs of shape "
                f"{self.inputs.shape[1:]}"
            )
        return self.inputs


def read_positions(
    folder: Path, edges: Sequence[int], samples: int
) -> Positions | None:
    """Returns the weights by position in a collection's folder; None without any.

    Arrays are mapped from disk. Reading runs no code.

    Args:
        folder: The collection's.
        edges: The number of edges of each stage.
        samples: The number of samples of the collection.

    Raises:
        DataError: If the files are damaged, or do not fit the collection.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        content: Any = json.loads(path.read_bytes())
        check_format(content, FORMAT, VERSION)
        count = int(content["samples"])
        axes = [tuple(map(int, shape)) for shape in content["positions"]]
        shape = tuple(map(int, content["input"]))
        vocabulary = tuple(map(str, content["vocabulary"]))
        "".join(vocabulary).encode()  # a lone surrogate is no text
        sizes = [count, *shape, *(size for sizes in axes for size in sizes)]
        if len(axes) != len(edges) or not shape or min(sizes) < 1 or count > samples:
            raise ValueError("its shapes do not fit the collection")
        kinds: list[Any] = [np.int64 if content["is_integer"] is True else np.float32]
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        OSError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(
            f"{path} must hold the shapes of weights by position: {reason_of(error)}; "
            "remove it, and analyze with --positions again"
        ) from error
    shapes = [shape, *((e, *s) for e, s in zip(edges, axes, strict=True))]
    kinds += [np.float32] * len(axes)
    files = zip(position_paths(folder, len(axes)), shapes, kinds, strict=True)
    inputs, *arrays = (mapped_array(p, (count, *s), kind) for p, s, kind in files)
    check_tokens(inputs, vocabulary, str(folder / "inputs.npy"))
    return Positions(tuple(arrays), inputs, vocabulary)


def remove_positions(folder: Path) -> None:
    """Removes the weights by position from a collection's folder."""
    for path in (folder / NAME, folder / "inputs.npy", *folder.glob("positions-*.npy")):
        path.unlink(missing_ok=True)


def position_paths(folder: Path, stages: int) -> list[Path]:
    """Returns the files of the inputs and of each stage's weights."""
    names = ["inputs", *(f"positions-{place + 1}" for place in range(stages))]
    return [folder / f"{name}.npy" for name in names]


def _are_tokens(dtype: np.dtype[Any], axes: int) -> bool:
    return bool(np.issubdtype(dtype, np.integer)) and axes == 2


def check_tokens(inputs: np.ndarray, vocabulary: Sequence[str], what: str) -> None:
    """Checks that tokens are numbers of a vocabulary, at least 0 without one."""
    if not _are_tokens(inputs.dtype, inputs.ndim) or not inputs.size:
        return
    low, high = int(inputs.min()), int(inputs.max())
    if low < 0 or (vocabulary and high >= len(vocabulary)):
        wrong = low if low < 0 else high
        most = f" to {len(vocabulary) - 1}" if vocabulary else ""
        raise DataError(f"{what} must hold tokens from 0{most}, got {wrong}")
