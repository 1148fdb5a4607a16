"""The test of instances: a network with other wirings than each image's own."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ddw_graph.errors import RunError
from ddw_graph.experiments.variation import Variation, variation
from ddw_graph.nn.edges import edge_text, is_static
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output
from ddw_graph.nn.stage import Stage
from ddw_graph.training.evaluation import outputs_for
from ddw_graph.training.image_data import ImageData

WIRINGS = ("own", "mean", "class", "shuffled")
"""Each image's own wiring; the mean one of the training images; that of another image
of its class; that of any other image."""


@dataclass(frozen=True)
class Tested:
    """How a network does with a kind of wirings.

    Args:
        wiring: One of ``WIRINGS``.
        accuracy: Share of test images whose class is predicted, in ``[0, 1]``.
        changed: Images whose prediction is not that of the plain evaluation.
    """

    wiring: str
    accuracy: float
    loss: float
    changed: int


def instance_test(
    model: Network,
    data: ImageData,
    *,
    seed: int,
    batch_size: int = 250,
    workers: int = 0,
) -> tuple[list[Tested], list[Variation]]:
    """Returns how a network does with each kind of wirings, and how they vary.

    Images are shuffled over the whole test set, not within a batch. Memory holds a
    batch of images, and the weights of the edges of each test image: 5 MB for 10,000
    images and three stages of 45 edges. Weights by position or channel are averaged.

    Args:
        seed: Fixes both shuffles.

    Raises:
        RunError: If all stages have static edges.
    """
    if all(is_static(stage.edges) for stage in model.stages):
        kinds = ", ".join(sorted({edge_text(stage.edges) for stage in model.stages}))
        raise RunError(
            "wirings of instances need edges that depend on the image, as dynamic ones "
            f"do, got {kinds}"
        )
    test = data.test_inputs()

    def read(
        images: Dataset[Any], given: Callable[[slice], list[Tensor]] | None = None
    ) -> Iterator[Output]:
        return outputs_for(
            model, images, batch_size=batch_size, workers=workers, adjacency=given
        )

    weights, labels, predictions = own_wirings(model, read(test))
    mean = mean_wiring(read(data.train_inputs()))
    orders = {
        "own": torch.arange(len(labels)),
        "class": shuffled_in_classes(labels, seed=seed),
        "shuffled": shuffled(len(labels), seed=seed),
    }

    def given(wiring: str, here: slice) -> list[Tensor]:
        if wiring == "mean":
            return mean
        chosen = orders[wiring][here]
        pairs = zip(model.stages, weights, strict=True)
        return [_matrix(stage, of_stage[chosen]) for stage, of_stage in pairs]

    tested = [
        _tested(wiring, read(test, partial(given, wiring)), predictions)
        for wiring in WIRINGS
    ]
    varied = [
        variation(
            of_stage[:, ~np.array(stage.plan.constant)].double().numpy(),
            labels.numpy(),
        )
        for stage, of_stage in zip(model.stages, weights, strict=True)
    ]
    return tested, varied


def own_wirings(
    model: Network, found: Iterable[Output]
) -> tuple[list[Float[Tensor, "images _"]], Int[Tensor, " images"], Tensor]:
    """Returns for each stage the weights of its edges, and labels and predictions.

    Weights have the shape ``(images, edges)``, in the order of the stage's plan.
    """
    weights: list[list[Tensor]] = [[] for _ in model.stages]
    labels, predictions = [], []
    for output in found:
        assert output.labels is not None
        for kept, stage, matrix in zip(
            weights, model.stages, output.adjacency, strict=True
        ):
            source, target = stage.plan.ends
            kept.append(by_sample(matrix, axes=3)[:, target, source].cpu())
        labels.append(output.labels.cpu())
        predictions.append(output.logits.argmax(1).cpu())
    return list(map(torch.cat, weights)), torch.cat(labels), torch.cat(predictions)


def mean_wiring(found: Iterable[Output]) -> list[Float[Tensor, "1 _ _"]]:
    """Returns the mean adjacency of each stage over images, added in float64."""
    sums: list[Tensor] = []
    count = 0
    for output in found:
        matrices = [by_sample(matrix, axes=3) for matrix in output.adjacency]
        added = [matrix.double().sum(0, keepdim=True) for matrix in matrices]
        sums = [a + b for a, b in zip(sums, added, strict=True)] if sums else added
        count += len(output.logits)
        kind = output.images.dtype
    return [(total / count).to(kind) for total in sums]


def shuffled(count: int, *, seed: int) -> Int[Tensor, " images"]:
    """Returns a random order of images; equal seeds give equal orders."""
    return torch.from_numpy(np.random.default_rng((0, seed, 0)).permutation(count))


def shuffled_in_classes(
    labels: Int[Tensor, " images"], *, seed: int
) -> Int[Tensor, " images"]:
    """Returns a random order of images that puts each in the place of one of its class.

    Example:
        >>> order = shuffled_in_classes(torch.tensor([0, 1, 0, 1, 0]), seed=0)
        >>> torch.tensor([0, 1, 0, 1, 0])[order]
        tensor([0, 1, 0, 1, 0])
    """
    generator = np.random.default_rng((0, seed, 1))
    order = torch.arange(len(labels))
    for label in sorted(set(labels.tolist())):
        (places,) = (labels == label).nonzero(as_tuple=True)
        order[places] = places[torch.from_numpy(generator.permutation(len(places)))]
    return order


def _numbers(seed: int) -> tuple[int, ...]:
    return (seed,) if isinstance(seed, int) else seed


def _matrix(
    stage: Stage, weights: Float[Tensor, "batch edges"]
) -> Float[Tensor, "batch nodes nodes"]:
    """Returns the adjacency that a stage takes for weights of its edges."""
    source, target = stage.plan.ends
    nodes = stage.plan.nodes
    matrix = weights.new_zeros(len(weights), nodes, nodes)
    matrix[:, target, source] = weights
    return matrix


def _tested(wiring: str, found: Iterable[Output], predictions: Tensor) -> Tested:
    """Returns how a network does, given its outputs and its own predictions."""
    loss, correct, changed, done = 0.0, 0, 0, 0
    for output in found:
        logits, labels = output.logits.cpu(), output.labels
        assert labels is not None
        labels = labels.cpu()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        predicted = logits.argmax(1)
        correct += int((predicted == labels).sum())
        changed += int((predicted != predictions[done : done + len(labels)]).sum())
        done += len(labels)
    return Tested(wiring, correct / done, loss / done, changed)
