"""The wiring of each image, kept in memory as the weights of its edges."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.training.images import Images
from ddw_graph.training.loading import Hears, batches


@dataclass(frozen=True)
class SampleWirings:
    """What each image's edges weigh in a trained network, in evaluation.

    Of 10,000 images and three stages of 45 edges that is 5 MB.

    Args:
        weights: For each stage, ``(images, edges)``, in the order of its plan.
        labels: The class of each image.
        predictions: What the network predicts.
    """

    weights: tuple[Float[Tensor, "images _"], ...]
    labels: Int[Tensor, " images"]
    predictions: Int[Tensor, " images"]


def adjacency_batches(
    model: Network,
    images: Images,
    *,
    batch_size: int,
    workers: int,
    bad: Hears | None = None,
) -> Iterator[tuple[Tensor, Tensor, list[Tensor]]]:
    """Yields logits, labels and the adjacency of each stage, batch by batch.

    Weights by position or channel count by their mean.

    Images that cannot be read are left out where ``bad`` hears of them.
    """
    model.eval()
    first = next(model.parameters())
    for x, labels in batches(images, batch_size, workers=workers, bad=bad):
        if not len(x):
            continue
        with torch.no_grad():
            logits, adjacency = model(
                x.to(first.device, first.dtype), return_adjacency=True
            )
        yield logits, labels, [by_sample(matrix, axes=3) for matrix in adjacency]


def sample_wirings(
    model: Network,
    images: Images,
    *,
    batch_size: int = 250,
    workers: int = 0,
    bad: Hears | None = None,
) -> SampleWirings:
    """Returns each image's wiring, in the order of the set.

    Args:
        model: The network; put into evaluation mode.
        images: The images.
        batch_size: Images at a time.
        workers: Processes that load images.
        bad: Hears of images that cannot be read, which are left out then.
    """
    ends = [stage.plan.ends for stage in model.stages]
    weights: list[list[Tensor]] = [[] for _ in ends]
    labels, predictions = [], []
    for logits, of_batch, adjacency in adjacency_batches(
        model, images, batch_size=batch_size, workers=workers, bad=bad
    ):
        for kept, matrix, (source, target) in zip(
            weights, adjacency, ends, strict=True
        ):
            kept.append(matrix[:, target, source].cpu())
        labels.append(of_batch.cpu())
        predictions.append(logits.argmax(1).cpu())
    return SampleWirings(
        tuple(torch.cat(kept) for kept in weights),
        torch.cat(labels),
        torch.cat(predictions),
    )


def mean_wiring(
    model: Network,
    images: Images,
    *,
    batch_size: int = 250,
    workers: int = 0,
    bad: Hears | None = None,
) -> list[Float[Tensor, "1 _ _"]]:
    """Returns the mean adjacency of each stage over images, added in float64."""
    sums: Sequence[Tensor] | None = None
    count = 0
    for _, labels, adjacency in adjacency_batches(
        model, images, batch_size=batch_size, workers=workers, bad=bad
    ):
        count += len(labels)
        added = [matrix.cpu().double().sum(0, keepdim=True) for matrix in adjacency]
        sums = (
            added if sums is None else [a + b for a, b in zip(sums, added, strict=True)]
        )
    assert sums is not None
    kind = next(model.parameters()).dtype
    return [(total / count).to(kind) for total in sums]


def adjacencies(
    model: Network, weights: Sequence[Float[Tensor, "batch _"]]
) -> list[Float[Tensor, "batch _ _"]]:
    """Returns weights of edges as the adjacencies that a network takes."""
    made = []
    for stage, values in zip(model.stages, weights, strict=True):
        source, target = stage.plan.ends
        nodes = stage.plan.nodes
        matrix = values.new_zeros(len(values), nodes, nodes)
        matrix[:, target, source] = values
        made.append(matrix)
    return made
