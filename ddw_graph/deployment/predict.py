"""Predictions: the classes of image files, and the wiring of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.deployment.trained import Trained, stage_edges
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.features import by_sample
from ddw_graph.training.bad_images import BadImage, readable
from ddw_graph.training.evaluation import outputs_for
from ddw_graph.training.pictures import ImageFiles
from ddw_graph.training.transform import Inputs, Transform


@dataclass(frozen=True)
class Prediction:
    """The classes that a network predicts for an image, and its wiring for it.

    Args:
        file: The image.
        classes: Names of the most probable classes, in falling order.
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
    """Predicts the classes of image files with a trained network."""

    trained: Trained

    def __post_init__(self) -> None:
        """Checks that everything is known."""
        if self.trained.classes is None or self.trained.transform is None:
            raise RunError(
                "predictions need a run, which knows classes and transform of images, "
                "got a network only; give the run with --run"
            )

    @property
    def transform(self) -> Transform:
        """What images go through."""
        assert self.trained.transform is not None
        return self.trained.transform

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class."""
        assert self.trained.classes is not None
        return self.trained.classes

    def about(self) -> dict[str, Any]:
        """Returns what holds for every image, ready for JSON."""
        stages = self.trained.network.stages
        price = cost(self.trained.network, self.transform.image_size)
        return {
            "transform": self.transform.as_dict(),
            "edges": sum(len(stage.plan.edges) for stage in stages),
            "computing": sum(len(stage.plan.computing) for stage in stages),
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
        """Yields a prediction for each image, in order; memory holds a batch.

        Args:
            weights: Whether to return the multiplier of each edge.
            bad: Called once with the images that cannot be read, which are found before
                the first prediction and left out. By default the first of them is an
                error.

        Raises:
            DataError: If an image cannot be read, without ``bad``; if ``top`` or
                ``batch_size`` is below 1; or if logits are not finite.
        """
        for name, value in (("top", top), ("batch_size", batch_size)):
            if value < 1:
                raise DataError(f"{name} must be at least 1, got {value}")
        images: Dataset[Any] = ImageFiles(files)
        if bad is not None:
            images, left_out = readable(images, workers=workers)
            bad(left_out)
        network = self.trained.network
        computing = [list(stage.plan.computing) for stage in network.stages]
        price = cost(network, self.transform.image_size)
        inputs = Inputs(images, self.transform)
        for output in outputs_for(
            network, inputs, batch_size=batch_size, workers=workers
        ):
            logits, places = output.logits, output.labels
            assert places is not None  # of the files, in place of labels
            if not logits.isfinite().all():
                raise DataError(
                    "logits must be finite, got some that are not: the weights of this "
                    "network are damaged"
                )
            macs = price.expected_macs(output.adjacency).tolist()
            best = logits.double().softmax(1).topk(min(top, logits.shape[1]))
            matrices = [by_sample(m, axes=3).cpu() for m in output.adjacency]
            for row, place in enumerate(places.tolist()):
                yield Prediction(
                    files[place],
                    tuple(self.classes[k] for k in best.indices[row].tolist()),
                    tuple(best.values[row].tolist()),
                    sum(int((matrix[row] != 0).sum()) for matrix in matrices),
                    sum(
                        int((matrix[row, nodes] != 0).any(1).sum())
                        for matrix, nodes in zip(matrices, computing, strict=True)
                    ),
                    round(macs[row]),
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
