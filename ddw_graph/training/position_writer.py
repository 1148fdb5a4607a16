"""Weights by position as they are written, batch by batch."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.nn.features import Weights
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.nn.plan import StagePlan
from ddw_graph.training.array_file import ArrayWriter
from ddw_graph.training.positions import (
    FORMAT,
    NAME,
    VERSION,
    check_tokens,
    position_paths,
    remove_positions,
)


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
        check_tokens(arrays[0], self.vocabulary, "a sample")
        for matrix, stage in zip(output.adjacency, self.network.stages, strict=True):
            arrays.append(position_weights(matrix, stage.plan).cpu().numpy())
        if not self._writers:
            paths = position_paths(self.folder, len(arrays) - 1)
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
