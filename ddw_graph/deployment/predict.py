"""Predictions: the classes of image files, and the wiring of each."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from torch.utils.data import Dataset

from ddw_graph.deployment.trained import Trained, stage_edges
from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import cost
from ddw_graph.nn.features import by_sample
from ddw_graph.training.bad_images import BadImage, readable
from ddw_graph.training.evaluation import outputs_for
from ddw_graph.training.pictures import ImageFiles
from ddw_graph.training.transform import Inputs


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


class Predictor:
    """Predicts the classes of image files with a trained network.

    Raises:
        RunError: If its classes, or what its images go through, are not known.
    """

    def __init__(self, trained: Trained) -> None:
        if trained.classes is None or trained.transform is None:
            raise RunError(
                "predictions need a run, which knows classes and transform of images, "
                "got a network only; give the run with --run"
            )
        self.network = trained.network
        self.classes, self.transform = trained.classes, trained.transform
        self.cost = cost(self.network, self.transform.image_size)

    def about(self) -> dict[str, Any]:
        """Returns what holds for every image, ready for JSON."""
        stages = self.network.stages
        return {
            "transform": self.transform.as_dict(),
            "edges": sum(len(stage.plan.edges) for stage in stages),
            "computing": sum(len(stage.plan.computing) for stage in stages),
            "total_macs": self.cost.total_macs,
            "stages": stage_edges(self.network),
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
            DataError: If an image cannot be read, without ``bad``, or if logits are not
                finite.
        """
        images: Dataset[Any] = ImageFiles(files)
        if bad is not None:
            images, left_out = readable(images, workers=workers)
            bad(left_out)
        network = self.network
        computing = [list(stage.plan.computing) for stage in network.stages]
        ends = [stage.plan.ends for stage in network.stages]
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
            macs = self.cost.expected_macs(output.adjacency).tolist()
            best = logits.double().softmax(1).topk(min(top, logits.shape[1]))
            matrices = [by_sample(m, axes=3).cpu() for m in output.adjacency]
            of_edges = [
                matrix[:, target, source].tolist()
                for matrix, (source, target) in zip(matrices, ends, strict=True)
            ]
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
                    tuple(tuple(s[row]) for s in of_edges) if weights else None,
                )
