"""Collections as they are written: what a network returned, batch by batch."""

import csv
import json
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from ddw_graph.errors import DataError, ModelError
from ddw_graph.nn.checks import check_adjacency, check_count
from ddw_graph.nn.cost import NetworkCost, StageWork, cost
from ddw_graph.nn.edges import kind_name
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.stage import Stage
from ddw_graph.training.array_file import ArrayWriter
from ddw_graph.training.collection import (
    FORMAT,
    VERSION,
    Collection,
    StageEdges,
    checked_columns,
    columns_of,
    weights_path,
)
from ddw_graph.training.position_writer import (
    edge_weights,
    input_array,
    position_weights,
)
from ddw_graph.training.positions import Positions, remove_positions


def stage_edges(stage: Stage, work: StageWork | None = None) -> StageEdges:
    """Returns the edges of a network's stage; MACs of 0 where work is None."""
    plan = stage.plan
    return StageEdges(
        plan.nodes,
        np.array(plan.edges),
        np.array(plan.constant) | (kind_name(stage.edges) == "fixed"),
        np.array(work.nodes if work else [0] * plan.nodes),
        np.array(work.edges if work else [0] * len(plan.edges)),
    )


def collection_of(
    adjacency: Tensor | Sequence[Tensor],
    model: nn.Module,
    *,
    logits: Float[Tensor, "samples classes"] | None = None,
    labels: Int[Tensor, " samples"] | None = None,
    classes: Sequence[str] | None = None,
    image_size: int | None = None,
    inputs: Tensor | None = None,
) -> Collection:
    """Returns the collection of what a network returned, in memory.

    Args:
        adjacency: What the model returned with ``return_adjacency=True``: a tensor for
            each stage, on any device, in any precision.
        model: The model that returned it: a ``Stage`` or a module that contains stages.
        logits: What the model returned for the same images: gives ``prediction``, and
            with ``labels`` ``loss``.
        labels: The class of each sample.
        classes: Names of the classes; by default their numbers.
        image_size: Height and width of the images, pixels: gives ``expected_macs`` of a
            ``Network``.
        inputs: The images or tokens that the model was given: the collection then keeps
            them, and the weights by position, of every sample.

    Raises:
        ModelError: If the adjacency does not fit the model's stages.
        DataError: If logits, labels or inputs do not fit the samples or the classes.

    Example:
        >>> from ddw_graph import create_model
        >>> network = create_model("randwire_tiny", n=2, num_classes=10)
        >>> images = torch.zeros(5, 3, 28, 28)
        >>> logits, adjacency = network(images, return_adjacency=True)
        >>> collection = collection_of(adjacency, network, logits=logits)
        >>> collection.samples, collection.column("prediction").shape
        (5, (5,))
    """
    pairs = stage_adjacencies(adjacency, model)
    price = None
    if image_size is not None:
        if not isinstance(model, Network):
            raise ModelError(
                "MACs by image_size are those of a Network, got "
                f"{type(model).__name__}; leave image_size out"
            )
        price = cost(model, image_size)
    samples = len(pairs[0][1])
    for name, given in (("logits", logits), ("labels", labels), ("inputs", inputs)):
        if given is not None and len(given) != samples:
            raise DataError(
                f"{name} must be those of {samples} samples, got {len(given)}"
            )
    if classes is None:
        count = int(labels.max()) + 1 if labels is not None and samples else 0
        count = max(count, 0 if logits is None else logits.shape[1])
        classes = [str(number) for number in range(count)]
    columns: dict[str, Tensor] = {}
    if labels is not None:
        columns["label"] = labels
    if logits is not None:
        columns["prediction"] = logits.argmax(1)
        if labels is not None:
            columns["loss"] = functional.cross_entropy(
                logits, labels.to(logits.device), reduction="none"
            )
    if price is not None:
        columns["expected_macs"] = price.expected_macs([m for _, m in pairs])
    arrays = tuple(sample_weights(m, s.plan).cpu().numpy() for s, m in pairs)
    kept = None
    if inputs is not None:
        full = (position_weights(m, s.plan).cpu().numpy() for s, m in pairs)
        kept = Positions(tuple(full), input_array(inputs))
    work = price.work if price else [None] * len(pairs)
    numbers = {name: c.detach().cpu().double().numpy() for name, c in columns.items()}
    return Collection(
        tuple(stage_edges(s, w) for (s, _), w in zip(pairs, work, strict=True)),
        arrays,
        checked_columns(numbers, len(classes), "a collection"),
        tuple(classes),
        _other_macs(price) if price else 0,
        kept=kept,
    )


@torch.no_grad()
def sample_rows(
    output: Output, network: Network, price: NetworkCost
) -> Float[Tensor, "rows columns"]:
    """Returns what is collected of a batch, a row for each sample, on its device.

    In float64: a number for each edge of each stage, then the columns of
    ``columns_of``. Samples with a prediction at each position, such as windows of a
    text, have no class; their loss is the mean over positions.

    Args:
        output: What the network returned.
        network: The network.
        price: Its cost for the samples.

    Raises:
        DataError: If the batch has no labels.
    """
    if output.labels is None:
        raise DataError("a collection needs batches of images and labels, got images")
    logits, labels = output.logits, output.labels
    loss = functional.cross_entropy(
        logits.movedim(-1, 1), labels, reduction="none"
    ).reshape(len(labels), -1)
    known: tuple[Tensor, ...] = (loss.mean(1),)
    if logits.ndim == 2:
        known = (labels, logits.argmax(1), *known)
    pairs = zip(output.adjacency, network.stages, strict=True)
    weights = [sample_weights(matrix, stage.plan) for matrix, stage in pairs]
    known = (*known, price.expected_macs(output.adjacency))
    columns = (*weights, *(each[:, None] for each in known))
    return torch.cat([column.double() for column in columns], 1)


def from_rows(
    rows: Float[Tensor, "rows columns"],
    network: Network,
    price: NetworkCost,
    classes: Sequence[str],
) -> Collection:
    """Returns the collection of rows of ``sample_rows``, in memory.

    Raises:
        DataError: If samples have classes and there are none or the reverse, a label is
            not the number of a class, or a loss is not finite.
    """
    stages = tuple(map(stage_edges, network.stages, price.work))
    *arrays, known = _split(rows, stages, classes)
    columns = dict(zip(columns_of(classes), known.T, strict=True))
    return Collection(
        stages,
        tuple(array.astype(np.float32) for array in arrays),
        checked_columns(columns, len(classes), "a collection"),
        tuple(classes),
        _other_macs(price),
    )


def _split(
    rows: Float[Tensor, "rows columns"],
    stages: Sequence[StageEdges],
    classes: Sequence[str],
) -> list[np.ndarray]:
    """Returns the weights of each stage, and then the columns, of ``sample_rows``."""
    ends = np.cumsum([len(stage.edges) for stage in stages])
    names = columns_of(classes)
    if rows.shape[1] != ends[-1] + len(names):
        raise DataError(
            f"a collection of samples {'with' if classes else 'without'} classes needs "
            f"{' '.join(names)} of each, got {rows.shape[1] - ends[-1]} numbers"
        )
    return list(np.split(rows.cpu().numpy(), ends, axis=1))


class CollectionWriter:
    """Writes a collection as a network evaluates; a context manager.

    The folder appears when everything is in it, at the end of the context; an exception
    leaves nothing. Other files of a folder that is replaced stay.

    ``stage-K.npy`` holds the effective multipliers, float32, ``(samples, edges)``;
    ``samples.csv`` label, prediction, loss and expected MACs; ``collection.json`` the
    edges, their MACs, and the classes. Samples without classes, such as windows of a
    text, have no label and no prediction.

    Args:
        folder: Where the collection goes.
        network: The network.
        price: Its cost for the samples.
        classes: The name of each class; none where samples have no classes.
        count: The number of samples that there must be at the end; None for any.
        overwrite: Whether a folder that exists may be replaced.

    Raises:
        DataError: If the folder exists and is not to be replaced; at the end, if the
            number of samples is 0 or not ``count``.

    Example:
        ``with CollectionWriter(folder, network, price, classes) as writer:``, and in
        it ``writer.add(output)`` for each of ``outputs(network, batches)``.
    """

    def __init__(
        self,
        folder: Path,
        network: Network,
        price: NetworkCost,
        classes: Sequence[str] = (),
        count: int | None = None,
        *,
        overwrite: bool = False,
    ) -> None:
        self.folder = Path(os.path.abspath(folder))  # which has a name, as "." has not
        if self.folder.exists() and not self.folder.is_dir():
            raise DataError(f"a collection needs a folder, got the file {self.folder}")
        if self.folder.exists() and not overwrite:
            raise DataError(f"{self.folder} exists; replace it with --overwrite")
        self.network, self.price, self.count = network, price, count
        self.classes = tuple(classes)
        self.stages = tuple(map(stage_edges, network.stages, price.work))
        self.samples = 0
        self._partial = self.folder.with_name(f".{self.folder.name}.partial")
        self._open = ExitStack()

    def __enter__(self) -> "CollectionWriter":
        """Makes room for the files."""
        shutil.rmtree(self._partial, ignore_errors=True)
        self._partial.mkdir(parents=True)
        with ExitStack() as files:
            self._arrays = [
                files.enter_context(
                    ArrayWriter(weights_path(self._partial, place), (len(s.edges),))
                )
                for place, s in enumerate(self.stages)
            ]
            path = self._partial / "samples.csv"
            table = files.enter_context(path.open("w", newline=""))
            self._table = csv.writer(table, lineterminator="\n")
            self._table.writerow(columns_of(self.classes))
            self._open = files.pop_all()
        return self

    def add(self, output: Output) -> None:
        """Adds the samples of a batch.

        Raises:
            DataError: If the batch has no labels, or samples have classes and there are
                none, or the reverse.
        """
        self.add_rows(sample_rows(output, self.network, self.price))

    def add_rows(self, rows: Float[Tensor, "rows columns"]) -> None:
        """Adds samples: rows of ``sample_rows``, on any device.

        Raises:
            DataError: If the rows have other columns than those of ``columns_of``.
        """
        *weights, known = _split(rows, self.stages, self.classes)
        for writer, array in zip(self._arrays, weights, strict=True):
            writer.add(array)
        whole = len(columns_of(self.classes)) - 2  # label and prediction
        numbers, floats = known[:, :whole].astype(int).tolist(), known[:, whole:]
        self._table.writerows(map(list.__add__, numbers, floats.tolist()))
        self.samples += len(rows)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Lets the folder appear, or removes what was written after an exception."""
        try:
            self._open.__exit__(kind, error, trace)
            if kind is None:
                self._finish()
        finally:
            shutil.rmtree(self._partial, ignore_errors=True)

    def _finish(self) -> None:
        if not self.samples or self.count not in (None, self.samples):
            raise DataError(
                f"a collection needs {self.count or 'some'} samples, got {self.samples}"
            )
        content = {
            "format": FORMAT,
            "version": VERSION,
            "samples": self.samples,
            "classes": list(self.classes),
            "other_macs": _other_macs(self.price),
            "stages": [
                {name: np.asarray(value).tolist() for name, value in vars(s).items()}
                for s in self.stages
            ],
        }
        (self._partial / "collection.json").write_text(json.dumps(content))
        if not self.folder.exists():
            self._partial.rename(self.folder)
            return
        # collection.json goes first and comes last: without it there is no collection.
        (self.folder / "collection.json").unlink(missing_ok=True)
        remove_positions(self.folder)
        derived = (self.folder / "edges.csv", self.folder / "samples.parquet")
        for stale in (*self.folder.glob("stage-*.npy"), *derived):
            stale.unlink(missing_ok=True)
        for path in sorted(self._partial.iterdir(), key=lambda p: p.suffix == ".json"):
            path.replace(self.folder / path.name)


def stage_adjacencies(
    adjacency: Tensor | Sequence[Tensor], model: nn.Module
) -> list[tuple[Stage, Tensor]]:
    """Returns each stage of a model with its adjacency.

    Raises:
        ModelError: If the model has no stage, or the adjacency does not fit its stages.
    """
    stages = _stages(model)
    if not stages:
        raise ModelError(
            "model must be a Stage or contain stages, the one that returned the "
            f"adjacency, got {type(model).__name__}"
        )
    matrices = [adjacency] if isinstance(adjacency, Tensor) else list(adjacency)
    check_count(matrices, len(stages))
    pairs = list(zip(stages, matrices, strict=True))
    for place, (stage, matrix) in enumerate(pairs, start=1):
        check_adjacency(matrix, stage.plan, f"stage {place}")
    batches = [len(matrix) for matrix in matrices]
    if len(set(batches)) > 1:
        raise ModelError(
            "adjacency must hold the same samples for each stage, got "
            f"{', '.join(map(str, batches))} samples"
        )
    return pairs


def sample_weights(matrix: Tensor, plan: StagePlan) -> Float[Tensor, "batch edges"]:
    """Returns the weights of ``edge_weights`` averaged to one for each sample."""
    return by_sample(edge_weights(matrix, plan))


def _stages(module: nn.Module) -> list[Stage]:
    """Returns the stages in a module, in the order in which it holds them.

    A stage within another's operation does not count: no adjacency is returned of it.
    """
    if isinstance(module, Stage):
        return [module]
    return [stage for child in module.children() for stage in _stages(child)]


def _other_macs(price: NetworkCost) -> int:
    ends = price.parts[0].total_macs + price.parts[-1].total_macs
    return ends + sum(work.terminals for work in price.work)
