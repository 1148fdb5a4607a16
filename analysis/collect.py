"""Collecting: the weight of every edge for every sample, in a stream to disk."""

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn import functional

from ddw_graph.analysis.adjacency import constant_edges, sample_weights
from ddw_graph.errors import DataError
from ddw_graph.nn.cost import NetworkCost, StageWork, cost
from ddw_graph.nn.network import Network
from ddw_graph.nn.stage import Stage
from ddw_graph.training.images import Batch, Images
from ddw_graph.training.loading import Hears, batches
from ddw_graph.wiring import MAX_NODES

FORMAT = "ddw_graph.collection"
VERSION = 2

SAMPLE = {"label": int, "prediction": int, "loss": float, "expected_macs": float}
"""What is kept of a sample beside its wiring."""


@dataclass(frozen=True)
class StageEdges:
    """The edges of a stage, in the order of the collected weights.

    Args:
        nodes: N.
        edges: Source and target of each edge, ``(edges, 2)``.
        constant: Whether an edge's multiplier is a constant of the wiring.
        node_macs: What each node takes for a sample in which it is alive: operation
            and router.
        edge_macs: What each edge takes for a sample in which it is open.
    """

    nodes: int
    edges: Int[np.ndarray, "edges 2"]
    constant: Bool[np.ndarray, " edges"]
    node_macs: Int[np.ndarray, " nodes"]
    edge_macs: Int[np.ndarray, " edges"]

    def dag(self) -> nx.DiGraph:
        """Returns the stage's wiring."""
        dag: nx.DiGraph = nx.DiGraph()
        dag.add_nodes_from(range(self.nodes))
        dag.add_edges_from(self.edges.tolist())
        return dag

    @classmethod
    def of(cls, stage: Stage, work: StageWork) -> "StageEdges":
        """Returns the edges of a network's stage with what they take."""
        return cls(
            stage.plan.nodes,
            np.array(stage.plan.edges),
            constant_edges(stage),
            np.array(work.nodes),
            np.array(work.edges),
        )


@dataclass(frozen=True)
class Collection:
    """Weights of every edge for every sample, kept in a folder.

    ``stage-K.npy`` holds the effective multipliers, float32, ``(samples, edges)``;
    ``samples.csv`` label, prediction, loss and the MACs that the sample's wiring asks
    for; ``collection.json`` the edges, what they take, and the classes.

    Args:
        folder: The folder.
        stages: The edges of each stage.
        samples: Number of samples.
        classes: Name of each class.
        other_macs: MACs that every sample takes: stem, entrances and exits, head.
    """

    folder: Path
    stages: tuple[StageEdges, ...]
    samples: int
    classes: tuple[str, ...]
    other_macs: int

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

    def rows(self, rows: slice = slice(None)) -> Float[np.ndarray, "rows edges"]:
        """Returns the weights of some samples, those of all stages beside each other.

        Raises:
            DataError: If a file is missing or cut short, or does not fit.
        """
        places = range(len(self.stages))
        return np.concatenate([self.weights(place)[rows] for place in places], 1)

    def chunks(
        self, stage: int, size: int = 4096
    ) -> Iterator[Float[np.ndarray, "chunk edges"]]:
        """Yields a stage's weights a few samples at a time, in float64."""
        weights = self.weights(stage)
        for start in range(0, self.samples, size):
            yield np.asarray(weights[start : start + size], dtype=np.float64)

    def table(self) -> pd.DataFrame:
        """Returns a row for each sample: label, prediction, loss, expected MACs.

        Raises:
            DataError: If the file is missing or cut short, or does not fit.
        """
        path = self.folder / "samples.csv"
        try:
            table = pd.read_csv(path)[list(SAMPLE)].astype(SAMPLE)
        except (OSError, KeyError, ValueError) as error:
            told = " ".join(str(error).split())
            raise DataError(f"{path} must hold {', '.join(SAMPLE)}: {told}") from error
        whole = len(table) == self.samples and np.isfinite(table).all(axis=None)
        known = table[["label", "prediction"]].isin(range(len(self.classes)))
        if not whole or not known.all(axis=None):
            raise DataError(
                f"{path} must hold {self.samples} samples of {len(self.classes)} "
                f"classes, got {len(table)} rows that do not"
            )
        return table

    def labelled_chunks(
        self, stage: int
    ) -> Iterator[tuple[Float[np.ndarray, "chunk edges"], Int[np.ndarray, " chunk"]]]:
        """Yields what ``chunks`` does with the class of each sample."""
        labels = self.table()["label"].to_numpy()
        done = 0
        for chunk in self.chunks(stage):
            yield chunk, labels[done : done + len(chunk)]
            done += len(chunk)


def collect(
    model: Network,
    images: Images,
    folder: Path,
    *,
    classes: Sequence[str],
    image_size: int,
    batch_size: int = 250,
    workers: int = 0,
    overwrite: bool = False,
    progress: Callable[[int, int], None] | None = None,
    bad: Hears | None = None,
    seen: Callable[[Tensor], None] | None = None,
) -> Collection:
    """Runs a network over images and keeps each sample's adjacency.

    Memory holds one batch. The folder appears when everything is in it.

    Args:
        model: The network; put into evaluation mode.
        images: The images.
        folder: Where the collection goes.
        classes: Name of each class.
        image_size: Height and width of an image, pixels.
        batch_size: Images in a batch.
        workers: Processes that load images.
        overwrite: Whether a collection that is there may be replaced.
        progress: Hears of samples done and samples in all.
        bad: Hears of images that cannot be read, which have no row; an error by
            default.
        seen: Hears each batch of images as the network is given it; its rows are the
            next ones of the collection.

    Raises:
        DataError: If the folder exists and is not to be replaced, or no image can be
            read, or one cannot and nobody hears of it.
    """
    folder = Path(os.path.abspath(folder))  # which has a name, as "." has not
    if folder.exists() and not folder.is_dir():
        raise DataError(f"an analysis needs a folder, got the file {folder}")
    if folder.exists() and not overwrite:
        raise DataError(f"{folder} exists; replace it with --overwrite")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        price = cost(model, image_size)
        stages = tuple(map(StageEdges.of, model.stages, price.work))
        other = price.parts[0].total_macs + price.parts[-1].total_macs
        other += sum(work.terminals for work in price.work)
        loader = batches(images, batch_size, workers=workers, bad=bad)
        samples = _stream(
            model, loader, len(images), partial, price, stages, progress, seen
        )
        content = {
            "format": FORMAT,
            "version": VERSION,
            "samples": samples,
            "classes": list(classes),
            "other_macs": other,
            "stages": [
                {name: np.asarray(value).tolist() for name, value in vars(s).items()}
                for s in stages
            ],
        }
        (partial / "collection.json").write_text(json.dumps(content))
        _move(partial, folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Collection(folder, stages, samples, tuple(classes), other)


def _move(partial: Path, folder: Path) -> None:
    """Moves a collection's files to where they belong; other files there stay.

    What says that a collection is there goes first and comes last.
    """
    if not folder.exists():
        partial.rename(folder)
        return
    (folder / "collection.json").unlink(missing_ok=True)
    made_of_it = (folder / "edges.csv", folder / "samples.parquet")
    for stale in (*folder.glob("stage-*.npy"), *made_of_it):
        stale.unlink(missing_ok=True)
    for path in sorted(partial.iterdir(), key=lambda p: p.name == "collection.json"):
        path.replace(folder / path.name)


@torch.no_grad()
def _stream(
    model: Network,
    loader: Iterable[Batch],
    count: int,
    folder: Path,
    price: NetworkCost,
    stages: tuple[StageEdges, ...],
    progress: Callable[[int, int], None] | None,
    seen: Callable[[Tensor], None] | None,
) -> int:
    """Writes weights and samples of images into a folder; returns how many.

    Room is made for ``count``, the most there may be.
    """
    model.eval()
    device = next(model.parameters()).device
    arrays = [
        np.lib.format.open_memmap(
            _weights_path(folder, place),
            mode="w+",
            dtype=np.float32,
            shape=(count, len(stage.edges)),
        )
        for place, stage in enumerate(stages)
    ]
    done = 0
    with (folder / "samples.csv").open("w") as file:
        for x, labels in loader:
            if not len(x):
                continue
            logits, adjacency = model(x.to(device), return_adjacency=True)
            here = slice(done, done + len(x))
            for array, matrix, stage in zip(
                arrays, adjacency, model.stages, strict=True
            ):
                array[here] = sample_weights(matrix, stage.plan)
            if seen is not None:
                seen(x)
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
                progress(done, count)
    if not done:
        raise DataError(f"at least one image must be readable, got {count} bad")
    for place, array in enumerate(arrays):
        array.flush()
        if done < count:
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
                np.array(stage["node_macs"], dtype=np.int64),
                np.array(stage["edge_macs"], dtype=np.int64),
            )
            for stage in content["stages"]
        )
        samples = int(content["samples"])
        classes = tuple(map(str, content["classes"]))
        other = int(content["other_macs"])
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
    return Collection(folder, stages, samples, classes, other)


def open_analysis(folder: Path) -> Collection:
    """Returns the collection of a run that was analyzed, or of an analysis's folder.

    Raises:
        DataError: If there is none.
    """
    inside = folder / "analysis"
    return open_collection(inside if inside.is_dir() else folder)


def _fits(stage: StageEdges) -> bool:
    """Returns whether a stage's edges are some, go forward, and lie among its nodes."""
    source, target = stage.edges.T
    inside = (0 <= source) & (source < target) & (target < stage.nodes)
    return bool(
        len(stage.edges)
        and len(stage.constant) == len(stage.edge_macs) == len(stage.edges)
        and len(stage.node_macs) == stage.nodes
        and stage.nodes <= MAX_NODES
        and inside.all()
    )


def _weights_path(folder: Path, stage: int) -> Path:
    return folder / f"stage-{stage + 1}.npy"
