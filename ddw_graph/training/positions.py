"""Weights by position: all of them, of the first samples of a collection."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, reason_of

NAME = "positions.npz"


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

    Raises:
        DataError: If a token is not in the vocabulary.
    """

    arrays: tuple[Float[np.ndarray, "samples _ ..."], ...] = field(repr=False)
    inputs: np.ndarray = field(repr=False)
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Checks the tokens."""
        if not self._are_tokens or not self.inputs.size:
            return
        low, high = int(self.inputs.min()), int(self.inputs.max())
        most = len(self.vocabulary) - 1 if self.vocabulary else high
        if low < 0 or high > most:
            raise DataError(
                f"samples must hold tokens from 0 to {most}, got {low} to {high}"
            )

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
        if not self._are_tokens:
            raise DataError(
                "this needs samples that are tokens, got inputs of shape "
                f"{self.inputs.shape[1:]}"
            )
        return self.inputs

    @property
    def _are_tokens(self) -> bool:
        return self.inputs.ndim == 2 and np.issubdtype(self.inputs.dtype, np.integer)

    def write(self, folder: Path) -> None:
        """Writes ``positions.npz`` into a collection's folder.

        ``stage-K`` holds the weights of a stage, float32; ``inputs`` what the network
        was given, float32 or int64; ``vocabulary`` the bytes of a list in JSON.
        """
        texts = np.frombuffer(json.dumps(self.vocabulary).encode(), np.uint8)
        stages: dict[str, Any] = {
            f"stage-{place}": array.astype(np.float32)
            for place, array in enumerate(self.arrays, start=1)
        }
        buffer = io.BytesIO()
        np.savez(buffer, inputs=self.inputs, vocabulary=texts, **stages)
        write_bytes(folder / NAME, [buffer.getvalue()], overwrite=True)

    @classmethod
    def read(cls, folder: Path, edges: Sequence[int], samples: int) -> "Positions":
        """Returns those in a collection's folder; reading them runs no code.

        Args:
            edges: The number of edges of each stage.
            samples: The number of samples of the collection.

        Raises:
            DataError: If the file is damaged, or does not fit the collection.
        """
        path = folder / NAME
        try:
            with (
                path.open("rb") as content,
                np.load(content, allow_pickle=False) as file,
            ):
                found = dict(file)
            inputs = found.pop("inputs")
            texts: Any = json.loads(found.pop("vocabulary").tobytes())
            "".join(texts).encode()  # a lone surrogate is no text
            wanted = {
                f"stage-{place}": ((len(inputs), count), np.float32)
                for place, count in enumerate(edges, start=1)
            }
            if (
                {k: (each.shape[:2], each.dtype) for k, each in found.items()} != wanted
                or not (0 < len(inputs) <= samples and inputs.ndim > 1)
                or inputs.dtype not in (np.float32, np.int64)
            ):
                raise ValueError("its arrays do not fit the collection")
            return cls(tuple(found[name] for name in wanted), inputs, tuple(texts))
        except Exception as error:  # a damaged file can make the reader raise anything
            raise DataError(
                f"{path} must hold weights by position: {reason_of(error)}; remove it, "
                "and analyze with --positions again"
            ) from error
