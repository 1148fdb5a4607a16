"""Collecting: the weight of every edge for every sample, in a stream to disk."""

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch.nn import functional

from ddw_graph.errors import DataError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.images import Images
from ddw_graph.training.loading import Hears, batches
from ddw_graph.wiring import MAX_NODES

FORMAT = "ddw_graph.collection"
VERSION = 1


@dataclass(frozen=True)
class StageEdges:
    """The edges of a stage, in the order of the collected weights.

    Args:
        nodes: N.
        edges: Source and target of each edge, ``(edges, 2)``.
        constant: Whether an edge's multiplier is a constant of the wiring.
    """

    nodes: int
    edges: Int[np.ndarray, "edges 2"]
    constant: Bool[np.ndarray, " edges"]

    @classmethod
    def of(cls, model: Network) -> list["StageEdges"]:
        """Returns the edges of each stage of a network."""
        fixed = [stage.edges.kind == "fixed" for stage in model.stages]
        return [
            cls(
                stage.plan.nodes,
                np.array(stage.plan.edges),
                np.array(stage.plan.constant) | is_fixed,
            )
            for stage, is_fixed in zip(model.stages, fixed, strict=True)
        ]


@dataclass(frozen=True)
class Collection:
    """Weights of every edge for every sample, kept in a folder.

    ``stage-K.npy`` holds the effective multipliers, float32, ``(samples, edges)``;
    ``samples.csv`` label, prediction, loss and the MACs that the sample's wiring asks
    for; ``collection.json`` the edges.

    Args:
        folder: The folder.
        stages: The edges of each stage.
        samples: Number of samples.
    """

    folder: Path
    stages: tuple[StageEdges, ...]
    samples: int

    def weights(self, stage: int) -> Float[np.ndarray, "samples edges"]:
        """Returns a stage's weights, mapped from disk; the first stage is 0.

        Raises:
            DataError: If the file is missing or cut short, or does not fit.
        """
        path = _weights_path(self.folder, stage)
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError, TokenError) as error:
            raise DataError(f"{path} must hold a whole array: {error}") from error
        expected = (self.samples, len(self.stages[stage].edges))
        if array.shape != expected or array.dtype != np.float32:
            raise DataError(
                f"{path} must hold float32 of shape {expected}, "
                f"got {array.dtype} of shape {array.shape}"
            )
        return array

    def chunks(
        self, stage: int, size: int = 4096
    ) -> Iterator[Float[np.ndarray, "chunk edges"]]:
        """Yields a stage's weights a few samples at a time, in float64."""
        weights = self.weights(stage)
        for start in range(0, self.samples, size):
            yield np.asarray(weights[start : start + size], dtype=np.float64)

    def table(self) -> pd.DataFrame:
        """Returns a row for each sample: label, prediction, loss, expected MACs."""
        return pd.read_csv(self.folder / "samples.csv")


def collect(
    model: Network,
    images: Images,
    folder: Path,
    *,
    batch_size: int = 250,
    workers: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    bad: Hears | None = None,
) -> Collection:
    """Runs a network over images and keeps each sample's adjacency.

    Memory holds one batch. The folder appears when everything is in it.

    Args:
        model: The network; put into evaluation mode.
        images: The images.
        folder: Where the collection goes.
        batch_size: Images in a batch.
        workers: Processes that load images.
        overwrite: Whether a collection that is there may be replaced.
        progress: Hears of samples done and samples in all.
        bad: Hears of images that cannot be read, which have no row; an error by
            default.

    Raises:
        DataError: If the folder exists and is not to be replaced, or no image can be
            read, or one cannot and nobody hears of it.
    """
    if folder.exists() and not overwrite:
        raise DataError(f"{folder} exists; replace it with --overwrite")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        stages = tuple(StageEdges.of(model))
        samples = _stream(
            model, images, partial, stages, batch_size, workers, progress, bad
        )
        described = [
            {
                "nodes": stage.nodes,
                "edges": stage.edges.tolist(),
                "constant": stage.constant.tolist(),
            }
            for stage in stages
        ]
        content = {
            "format": FORMAT,
            "version": VERSION,
            "samples": samples,
            "stages": described,
        }
        (partial / "collection.json").write_text(json.dumps(content))
        _move(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Collection(folder, stages, samples)


def _move(partial: Path, folder: Path) -> None:
    """Moves a collection's files to where they belong; other files there stay.

    What says that a collection is there goes first and comes last.
    """
    if not folder.exists():
        partial.rename(folder)
        return
    (folder / "collection.json").unlink(missing_ok=True)
    for stale in (*folder.glob("stage-*.npy"), folder / "edges.csv"):
        stale.unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda p: p.name == "collection.json"):
        path.replace(folder / path.name)


@torch.no_grad()
def _stream(
    model: Network,
    images: Images,
    folder: Path,
    stages: tuple[StageEdges, ...],
    batch_size: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
    bad: Hears | None,
) -> int:
    """Writes weights and samples of images into a folder; returns how many."""
    model.eval()
    device = next(model.parameters()).device
    arrays = [
        np.lib.format.open_memmap(
            _weights_path(folder, place),
            mode="w+",
            dtype=np.float32,
            shape=(len(images), len(stage.edges)),
        )
        for place, stage in enumerate(stages)
    ]
    done = 0
    price: NetworkCost | None = None
    with (folder / "samples.csv").open("w") as file:
        loader = batches(images, batch_size, workers=workers, bad=bad)
        for x, labels in loader:
            if not len(x):
                continue
            logits, adjacency = model(x.to(device), return_adjacency=True)
            here = slice(done, done + len(x))
            for array, matrix, stage in zip(arrays, adjacency, stages, strict=True):
                source, target = stage.edges.T
                array[here] = matrix[:, target, source].float().cpu().numpy()
            if price is None:
                price = cost(model, x.shape[-1])
            labels = labels.to(device)
            table = pd.DataFrame(
                {
                    "label": labels.cpu(),
                    "prediction": logits.argmax(1).cpu(),
                    "loss": functional.cross_entropy(
                        logits, labels, reduction="none"
                    ).cpu(),
                    "expected_macs": price.expected_macs(adjacency).cpu(),
                }
            )
            table.to_csv(file, index=False, header=not done)
            done += len(x)
            if progress:
                progress(done, len(images))
    if not done:
        raise DataError(f"at least one image must be readable, got {len(images)} bad")
    for place, array in enumerate(arrays):
        array.flush()
        if done < len(images):
            # The rows that bad images would have had.
            shorter = folder / "shorter.npy"
            with shorter.open("wb") as file:
                np.save(file, array[:done])
            shorter.replace(_weights_path(folder, place))
    return done


def open_collection(folder: Path) -> Collection:
    """Returns the collection of a folder; reading one runs no code.

    Raises:
        DataError: If the folder holds no whole collection.
    """
    path = folder / "collection.json"
    try:
        content: Any = json.loads(path.read_bytes())
        if content["format"] != FORMAT or content["version"] != VERSION:
            raise DataError(
                f"{path} must be {FORMAT} of version {VERSION}, got "
                f"{content['format']!r} of version {content['version']!r}"
            )
        stages = tuple(
            StageEdges(
                int(stage["nodes"]),
                np.array(stage["edges"], dtype=np.int64).reshape(-1, 2),
                np.array(stage["constant"], dtype=np.bool_),
            )
            for stage in content["stages"]
        )
        samples = int(content["samples"])
        if samples < 1 or not stages or not all(map(_fits, stages)):
            raise ValueError("its counts and its edges do not go together")
    except OSError as error:
        raise DataError(
            f"{folder} must hold an analysis; make one with ddw-graph analyze"
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        KeyError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} must hold a whole collection: {error}") from error
    return Collection(folder, stages, samples)


def _fits(stage: StageEdges) -> bool:
    """Returns whether a stage's edges are some, go forward, and lie among its nodes."""
    source, target = stage.edges.T
    inside = (0 <= source) & (source < target) & (target < stage.nodes)
    return bool(
        len(stage.edges)
        and len(stage.constant) == len(stage.edges)
        and stage.nodes <= MAX_NODES
        and inside.all()
    )


def _weights_path(folder: Path, stage: int) -> Path:
    return folder / f"stage-{stage + 1}.npy"
