"""Collections: the weight of every edge for every sample, in memory or in a folder.

Nothing here imports torch; ``collecting`` makes collections of what a network returned.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from jaxtyping import Bool, Float, Int

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import DataError, reason_of
from ddw_graph.training.positions import NAME as POSITIONS
from ddw_graph.training.positions import Positions
from ddw_graph.wiring import MAX_NODES

FORMAT = "ddw_graph.collection"
VERSION = 2

DERIVED = ("edges.csv", "samples.parquet")
"""Files that are made of a collection, which go when another one takes its place."""

COLUMNS = ("label", "prediction", "loss", "expected_macs")
"""What is known of a sample besides its weights."""


def columns_of(classes: Sequence[str]) -> tuple[str, ...]:
    """Returns those of ``COLUMNS`` that samples have: without classes the last two."""
    return COLUMNS if classes else COLUMNS[2:]


@dataclass(frozen=True)
class StageEdges:
    """The edges of a stage, in the order of the collected weights.

    Args:
        nodes: N.
        edges: Source and target of each edge, ``(edges, 2)``.
        constant: Whether an edge's multiplier is a constant of the wiring.
        node_macs: MACs of each node for a sample in which it is alive: operation and
            router.
        edge_macs: MACs of each edge for a sample in which it is open.
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


@dataclass(frozen=True, eq=False)
class Collection:
    """The weights of every edge for every sample, and what is known of the samples.

    Args:
        arrays: The effective multipliers of each stage, ``(samples, edges)``, float32
            or float64; mapped from disk if the collection lies in a folder.
        columns: ``label`` and ``prediction`` (numbers of classes), ``loss`` and
            ``expected_macs`` of each sample, those that are known.
        other_macs: MACs that every sample takes: stem, entrances and exits, head.
        folder: Where the collection lies, with weights by position if there are any;
            None if it is in memory only.
        kept: The weights by position of its first samples, in memory.
    """

    stages: tuple[StageEdges, ...]
    arrays: tuple[Float[np.ndarray, "samples _"], ...] = field(repr=False)
    columns: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)
    classes: tuple[str, ...] = ()
    other_macs: int = 0
    folder: Path | None = None
    kept: Positions | None = None

    @cached_property
    def by_position(self) -> Positions:
        """The weights by position of its first samples.

        Raises:
            DataError: If it has none, or they are damaged.
        """
        if self.kept is not None:
            return self.kept
        if self.folder is None or not (self.folder / POSITIONS).exists():
            raise DataError(
                "this needs weights by position; ddw-graph analyze RUN --positions 8 "
                "keeps those of 8 samples (in Python: keep_positions)"
            )
        edges = [len(stage.edges) for stage in self.stages]
        return Positions.read(self.folder, edges, self.samples)

    def positions(self, stage: int) -> Float[np.ndarray, "kept edges ..."]:
        """Returns a stage's weights by position; the first stage is 0.

        Shapes:
            - output: ``(kept samples, edges, *positions)``; ``(kept samples, edges)``
              where weights do not differ by position

        Raises:
            DataError: If the collection has no weights by position.
        """
        return self.by_position.arrays[stage]

    @property
    def samples(self) -> int:
        """The number of samples."""
        return len(self.arrays[0])

    def weights(self, stage: int) -> Float[np.ndarray, "samples edges"]:
        """Returns a stage's weights; the first stage is 0."""
        return self.arrays[stage]

    def rows(self, rows: slice = slice(None)) -> Float[np.ndarray, "rows edges"]:
        """Returns the weights of some samples, those of all stages in one row."""
        return np.concatenate([array[rows] for array in self.arrays], 1)

    def chunks(
        self, stage: int, size: int = 4096
    ) -> Iterator[Float[np.ndarray, "chunk edges"]]:
        """Yields a stage's weights a few samples at a time, in float64."""
        for start in range(0, self.samples, size):
            chunk = self.arrays[stage][start : start + size]
            yield np.asarray(chunk, dtype=np.float64)

    def column(self, name: str) -> np.ndarray:
        """Returns what is known of each sample by a name of ``columns``.

        Raises:
            DataError: If it is not known.
        """
        if name not in self.columns:
            hint = "give collection_of more"
            if name in COLUMNS[:2] and not self.classes:
                hint = "the samples of this collection have no classes"
            raise DataError(
                f"this needs the {name} of each sample, got "
                f"{', '.join(self.columns) or 'none'}; {hint}"
            )
        return self.columns[name]

    def write(self, folder: Path, *, overwrite: bool = False) -> None:
        """Writes the collection into a folder, without weights by position.

        ``stage-K.npy`` holds the effective multipliers, float32, ``(samples, edges)``;
        ``samples.csv`` the columns; ``collection.json``, which comes last, the edges,
        their MACs, and the classes. Other files of the folder stay.

        Raises:
            DataError: If the folder exists and is not to be replaced.
        """
        check_replaceable(folder, overwrite=overwrite)
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("collection.json", "stage-*.npy", POSITIONS, *DERIVED):
            for stale in folder.glob(name):
                stale.unlink()
        for place, array in enumerate(self.arrays):
            file = io.BytesIO()
            np.save(file, np.asarray(array, dtype="<f4"), allow_pickle=False)
            write_bytes(weights_path(folder, place), [file.getvalue()], overwrite=True)
        table = io.StringIO()
        lines = csv.writer(table, lineterminator="\n")
        lines.writerow(self.columns)
        columns = [column.tolist() for column in self.columns.values()]
        lines.writerows(zip(*columns, strict=True))
        write_bytes(folder / "samples.csv", [table.getvalue().encode()], overwrite=True)
        content = {
            "format": FORMAT,
            "version": VERSION,
            "samples": self.samples,
            "classes": self.classes,
            "other_macs": self.other_macs,
            "stages": [
                {name: np.asarray(value).tolist() for name, value in vars(s).items()}
                for s in self.stages
            ],
        }
        text = json.dumps(content).encode()
        write_bytes(folder / "collection.json", [text], overwrite=True)


def check_replaceable(folder: Path, *, overwrite: bool) -> None:
    """Checks that a collection may be written into a folder, before it is made.

    Raises:
        DataError: If the folder exists and is not to be replaced.
    """
    if folder.exists() and not folder.is_dir():
        raise DataError(f"a collection needs a folder, got the file {folder}")
    if folder.exists() and not overwrite:
        raise DataError(f"{folder} exists; replace it with --overwrite")


def open_collection(folder: Path) -> Collection:
    """Returns the collection of a folder, or of the run that lies there.

    Weights are mapped from disk. Reading runs no code.

    Raises:
        DataError: If the folder holds no whole collection.
    """
    if (folder / "analysis").is_dir():
        folder = folder / "analysis"
    path = folder / "collection.json"
    try:
        content: Any = json.loads(path.read_bytes())
        if (content["format"], content["version"]) != (FORMAT, VERSION):
            raise ValueError(f"it must be {FORMAT} of version {VERSION}")
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
        "".join(classes).encode()  # a lone surrogate is no text
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
        raise DataError(
            f"{path} must hold a whole collection: {reason_of(error)}"
        ) from error
    arrays = tuple(
        _mapped(weights_path(folder, place), (samples, len(stage.edges)))
        for place, stage in enumerate(stages)
    )
    columns = _read_columns(folder / "samples.csv", samples, classes)
    return Collection(stages, arrays, columns, classes, other, folder)


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray:
    """Returns the array of a file, mapped from disk; never an object."""
    try:
        with np.errstate(over="raise"):  # of a size that no number holds
            array = np.lib.format.open_memmap(path, mode="r")
    except (OSError, ValueError, TypeError, EOFError, ArithmeticError) as error:
        raise DataError(f"{path} must hold a whole array: {error}") from error
    if array.shape != shape or array.dtype != np.float32:
        raise DataError(
            f"{path} must hold float32 of shape {shape}, got {array.dtype} "
            f"of shape {array.shape}"
        )
    return array


def _read_columns(
    path: Path, samples: int, classes: Sequence[str]
) -> dict[str, np.ndarray]:
    names = columns_of(classes)
    try:
        with path.open(encoding="utf-8-sig") as file:
            header, *rows = (line.split(",") for line in islice(file, samples + 2))
        if ",".join(header).strip() != ",".join(names) or len(rows) != samples:
            raise ValueError(f"got {len(rows)} rows for {samples} samples")
        columns = dict(zip(names, np.array(rows, dtype=np.float64).T, strict=True))
        return checked_columns(columns, len(classes), str(path))
    except (OSError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(
            f"{path} must hold {', '.join(names)}: {reason_of(error)}"
        ) from error


def checked_columns(
    columns: Mapping[str, Float[np.ndarray, " samples"]], classes: int, what: str
) -> dict[str, np.ndarray]:
    """Returns columns in their types: whole numbers of classes, finite floats."""
    checked = {}
    for name, values in columns.items():
        is_class = name in ("label", "prediction")
        known = np.isin(values, range(classes)) if is_class else np.isfinite(values)
        if not known.all():
            raise DataError(
                f"{what} must hold finite numbers, and of classes those from 0 to "
                f"{classes - 1}, got {values[~known][0]:g} as {name}"
            )
        checked[name] = values.astype(np.int64) if is_class else values
    return checked


def _fits(stage: StageEdges) -> bool:
    """Returns whether a stage has edges that go forward among its nodes."""
    source, target = stage.edges.T
    inside = (0 <= source) & (source < target) & (target < stage.nodes)
    return bool(
        len(stage.edges)
        and len(stage.constant) == len(stage.edge_macs) == len(stage.edges)
        and len(stage.node_macs) == stage.nodes
        and stage.nodes <= MAX_NODES
        and inside.all()
    )


def weights_path(folder: Path, stage: int) -> Path:
    """Returns the file of a stage's weights; the first stage is 0."""
    return folder / f"stage-{stage + 1}.npy"
