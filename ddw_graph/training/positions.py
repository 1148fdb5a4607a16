"""Weights by position: all of them, of the first samples of a collection."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ddw_graph.errors import DataError, reason_of
from ddw_graph.nn.features import Weights
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.nn.plan import StagePlan
from ddw_graph.training.array_file import ArrayWriter, check_format, mapped_array

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


def edge_weights(matrix: Tensor, plan: StagePlan) -> Weights:
    """Returns the weights in a stage's adjacency, detached, in float32 or float64.

    Shapes:
        - matrix: ``(batch, N, N, ...)``
        - output: ``(batch, edges, ...)``, in the wiring's order of edges
    """
    sources, targets = plan.ends
    values = matrix.detach()[:, targets, sources]
    # NumPy has no bfloat16, and in it a mean would be rounded.
    return values.to(torch.promote_types(values.dtype, torch.float32))


def position_weights(
    matrix: Tensor, plan: StagePlan
) -> Float[Tensor, "batch edges *positions"]:
    """Returns the weights of ``edge_weights`` averaged over channels.

    Without axes of positions where weights do not differ along them.
    """
    values = edge_weights(matrix, plan)
    if values.ndim > 2:
        values = values.mean(2 if plan.channel_axis == 1 else -1)
    return values if values.shape[2:].numel() > 1 else values.flatten(1)


def input_array(inputs: Tensor) -> np.ndarray:
    """Returns what a network was given: float32, or int64 where it is whole numbers."""
    kind = torch.float32 if inputs.is_floating_point() else torch.int64
    return inputs.detach().to("cpu", kind).numpy()


@contextmanager
def position_writer(
    folder: Path, network: Network, vocabulary: Sequence[str] = ()
) -> Iterator["PositionWriter"]:
    """Yields a writer of weights by position into a collection's folder.

    ``positions-K.npy`` holds the weights of a stage, float32, ``(samples, edges,
    *positions)``; ``inputs.npy`` what the network was given, float32 or int64;
    ``positions.json`` their shapes. They appear at the end of the context, in place of
    those that are there; an exception leaves these alone.

    Args:
        folder: The collection's.
        network: The network.
        vocabulary: The text of each token.
    """
    partial = folder / ".positions.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    try:
        writer = PositionWriter(partial, network, vocabulary)
        with writer.files:
            yield writer
        (partial / NAME).write_text(json.dumps(writer.content()))
        remove_positions(folder)
        # positions.json comes last: without it there are no positions.
        for path in sorted(partial.iterdir(), key=lambda p: p.suffix == ".json"):
            path.replace(folder / path.name)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class PositionWriter:
    """Writes weights by position as a network evaluates; see ``position_writer``."""

    def __init__(
        self, folder: Path, network: Network, vocabulary: Sequence[str]
    ) -> None:
        self.folder, self.network = folder, network
        self.vocabulary = tuple(vocabulary)
        self.files = ExitStack()
        self._writers: list[ArrayWriter] = []

    def add(self, output: Output) -> None:
        """Adds the samples of a batch.

        Raises:
            DataError: If they have other positions than those before, or a token is not
                in the vocabulary.
        """
        arrays = [input_array(output.images)]
        _check_tokens(arrays[0], self.vocabulary, "a sample")
        for matrix, stage in zip(output.adjacency, self.network.stages, strict=True):
            arrays.append(position_weights(matrix, stage.plan).cpu().numpy())
        if not self._writers:
            paths = _paths(self.folder, len(arrays) - 1)
            for path, array in zip(paths, arrays, strict=True):
                kind = "<i8" if array.dtype == np.int64 else "<f4"
                writer = ArrayWriter(path, array.shape[1:], kind)
                self._writers.append(self.files.enter_context(writer))
        for writer, array in zip(self._writers, arrays, strict=True):
            if writer.shape != array.shape[1:]:
                raise DataError(
                    "all samples must have the same positions, got the shapes "
                    f"{writer.shape} and {array.shape[1:]}"
                )
            writer.add(array)

    def content(self) -> dict[str, Any]:
        """Returns what ``positions.json`` holds."""
        inputs, *weights = self._writers
        return {
            "format": FORMAT,
            "version": VERSION,
            "samples": inputs.rows,
            "input": inputs.shape,
            "is_integer": inputs.dtype == "<i8",
            "positions": [writer.shape[1:] for writer in weights],
            "vocabulary": self.vocabulary,
        }


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
    files = zip(_paths(folder, len(axes)), shapes, kinds, strict=True)
    inputs, *arrays = (mapped_array(p, (count, *s), kind) for p, s, kind in files)
    _check_tokens(inputs, vocabulary, str(folder / "inputs.npy"))
    return Positions(tuple(arrays), inputs, vocabulary)


def remove_positions(folder: Path) -> None:
    """Removes the weights by position from a collection's folder."""
    for path in (folder / NAME, folder / "inputs.npy", *folder.glob("positions-*.npy")):
        path.unlink(missing_ok=True)


def _paths(folder: Path, stages: int) -> list[Path]:
    """Returns the files of the inputs and of each stage's weights."""
    names = ["inputs", *(f"positions-{place + 1}" for place in range(stages))]
    return [folder / f"{name}.npy" for name in names]


def _are_tokens(dtype: np.dtype[Any], axes: int) -> bool:
    return bool(np.issubdtype(dtype, np.integer)) and axes == 2


def _check_tokens(inputs: np.ndarray, vocabulary: Sequence[str], what: str) -> None:
    """Checks that tokens are numbers of a vocabulary, at least 0 without one."""
    if not _are_tokens(inputs.dtype, inputs.ndim) or not inputs.size:
        return
    low, high = int(inputs.min()), int(inputs.max())
    if low < 0 or (vocabulary and high >= len(vocabulary)):
        wrong = low if low < 0 else high
        most = f" to {len(vocabulary) - 1}" if vocabulary else ""
        raise DataError(f"{what} must hold tokens from 0{most}, got {wrong}")
