"""Predictions: the classes of image files, and the wiring of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ddw_graph.deployment.trained import Trained, stage_edges
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.features import by_sample
from ddw_graph.training.bad_images import BadImage, readable
from ddw_graph.training.loading import batches
from ddw_graph.training.pictures import ImageFiles
from ddw_graph.training.transform import Inputs, Transform


@dataclass(frozen=True)
class Prediction:
    """What a network says of an image, and how it was wired for it.

    Args:
        file: The image.
        classes: Names of the most probable classes, the first first.
        probabilities: Their probabilities.
        open_edges: Edges that were open, of all stages.
        alive_nodes: Nodes that computed, of all stages.
        expected_macs: MACs that its wiring asks for.
        weights: For each stage the multiplier of each edge; None unless asked for.
    """

    file: str
    classes: tuple[str, ...]
    probabilities: tuple[float, ...]
    open_edges: int
    alive_nodes: int
    expected_macs: int
    weights: tuple[tuple[float, ...], ...] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        pairs = zip(self.classes, self.probabilities, strict=True)
        found: dict[str, Any] = {
            "file": self.file,
            "classes": [{"class": name, "probability": p} for name, p in pairs],
            "open_edges": self.open_edges,
            "alive_nodes": self.alive_nodes,
            "expected_macs": self.expected_macs,
        }
        if self.weights is not None:
            found["weights"] = [list(weights) for weights in self.weights]
        return found


@dataclass(frozen=True)
class Predictor:
    """A network that names the classes of image files.

    Args:
        trained: The network, with its classes and what its images go through.

    Raises:
        RunError: If classes or preparation are not known, or are of another network.
    """

    trained: Trained

    def __post_init__(self) -> None:
        """Checks that all is known."""
        config: Any = self.trained.network.config or {}
        if self.trained.classes is None or self.trained.preparation is None:
            raise RunError(
                "predictions need a run, which knows its classes and how images are "
                "prepared, got a network alone; give the run with run= (--run)"
            )
        channels = self.trained.network.in_channels
        wanted = len(self.trained.classes), self.preparation.channels
        if (config.get("num_classes", wanted[0]), channels) != wanted:
            raise RunError(
                f"a run of {wanted[0]} classes and {wanted[1]} channels needs such a "
                f"network, got one of {config.get('num_classes')} and {channels}"
            )

    @property
    def preparation(self) -> Transform:
        """What images go through."""
        assert self.trained.preparation is not None
        return self.trained.preparation

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        assert self.trained.classes is not None
        return self.trained.classes

    def about(self) -> dict[str, Any]:
        """Returns what holds for every image, ready for JSON."""
        stages = self.trained.network.stages
        price = cost(self.trained.network, self.preparation.image_size)
        return {
            "preparation": self.preparation.as_dict(),
            "edges": sum(len(stage.plan.edges) for stage in stages),
            "nodes": sum(stage.plan.nodes - 2 for stage in stages),
            "total_macs": price.total_macs,
            "stages": stage_edges(self.trained.network),
        }

    def predictions(
        self,
        files: Sequence[str],
        *,
        top: int = 3,
        batch_size: int = 64,
        workers: int = 0,
        weights: bool = False,
        bad: Callable[[Sequence[BadImage]], None] | None = None,
    ) -> Iterator[Prediction]:
        """Yields what the network says of each image, in order; memory holds a batch.

        Args:
            files: The images.
            top: How many classes; all, where there are fewer.
            batch_size: Images at a time.
            workers: Processes that load images.
            weights: Whether each edge's multiplier is told too.
            bad: Called once, with the images that cannot be read: they are found
                before the first prediction, and left out. By default the first of them
                is an error.

        Raises:
            DataError: If an image cannot be read, without ``bad``; if ``top`` or
                ``batch_size`` is below 1; or if logits are not finite.
        """
        for name, value in (("top", top), ("batch_size", batch_size)):
            if value < 1:
                raise DataError(f"{name} must be at least 1, got {value}")
        network = self.trained.network.eval()
        first = next(network.parameters())
        price = cost(network, self.preparation.image_size)
        images: Any = ImageFiles(files)
        if bad is not None:
            images, left_out = readable(images, workers=workers)
            bad(left_out)
        inputs = Inputs(images, self.preparation)
        for x, places in batches(inputs, batch_size, workers=workers):
            with torch.no_grad():
                logits, adjacency = network(
                    x.to(first.device, first.dtype), return_adjacency=True
                )
                macs = price.expected_macs(adjacency).cpu()
            if not logits.isfinite().all():
                raise DataError(
                    "logits must be finite, got some that are not: the weights of this "
                    "network are no good"
                )
            best = logits.double().softmax(1).topk(min(top, logits.shape[1]))
            matrices = [by_sample(matrix, axes=3).cpu() for matrix in adjacency]
            for row, place in enumerate(places.tolist()):
                yield Prediction(
                    files[place],
                    tuple(self.classes[k] for k in best.indices[row].tolist()),
                    tuple(best.values[row].tolist()),
                    sum(int((matrix[row] != 0).sum()) for matrix in matrices),
                    sum(_alive(matrix[row]) for matrix in matrices),
                    round(macs[row].item()),
                    self._weights(matrices, row) if weights else None,
                )

    def _weights(
        self, matrices: list[Tensor], row: int
    ) -> tuple[tuple[float, ...], ...]:
        """Returns the multiplier of each edge of each stage, for one image."""
        found = []
        for stage, matrix in zip(self.trained.network.stages, matrices, strict=True):
            source, target = stage.plan.ends
            found.append(tuple(matrix[row, target, source].tolist()))
        return tuple(found)


def _alive(matrix: Tensor) -> int:
    """Returns how many nodes that compute hear an open edge."""
    return int((matrix[1:-1] != 0).any(1).sum())
