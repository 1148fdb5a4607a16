"""How a network does on images that it was not trained on."""

import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional
from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.network import Network
from ddw_graph.nn.outputs import Output, outputs
from ddw_graph.training.budget_term import mac_shares
from ddw_graph.training.edge_log import weight_sums, weighted_edges
from ddw_graph.training.loading import batches
from ddw_graph.training.shared_collection import shared_collection
from ddw_graph.training.world import World

TOKENS = 2**15
"""Tokens that are evaluated at a time, at most."""

LOGITS = 2**28
"""Logits of tokens that are evaluated at a time, at most: 1 GB."""


def default_batch(network: Network) -> int:
    """Returns the samples to evaluate at a time: 250 images, or ``TOKENS`` tokens."""
    if isinstance(network, LanguageModel):
        tokens = min(TOKENS, LOGITS // network.vocabulary)
        return max(1, tokens // network.context)
    return 250


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images, or of windows of a text.

    Args:
        loss: Mean cross-entropy of a prediction, nats.
        accuracy: Share of images whose class is predicted, or of tokens, in ``[0, 1]``.
        top5_accuracy: Share of those whose class is among the five most probable ones.
        macs_share: Mean of the MACs that an image's wiring asks for, as a share of
            those with every edge open.
        images: Number of images.
        edges: The edges whose weights can change; see ``weighted_edges``.
        weights: Sums over images of the weights of ``edges``, and of their squares,
            float64.
    """

    loss: float
    accuracy: float
    top5_accuracy: float
    macs_share: float
    images: int
    edges: list[Tensor] = field(compare=False)
    weights: Tensor = field(compare=False)


def evaluate(
    network: Network,
    images: Dataset[Any],
    *,
    batch_size: int | None = None,
    workers: int = 0,
    price: NetworkCost | None = None,
    world: World = World(),  # noqa: B008 (frozen)
    classes: Sequence[str] = (),
    collection: Path | None = None,
) -> Evaluation:
    """Returns how a network does on images, in evaluation mode.

    Args:
        network: The network.
        images: Images and classes, such as ``ImageData.test_inputs`` gives; or windows
            of a text and what follows each token.
        batch_size: Samples at a time; by default that of ``default_batch``.
        workers: Processes that load images.
        price: What the network costs; computed by default.
        world: The processes that evaluate, each its part of every batch.
        classes: Name of each class, for ``collection``.
        collection: Folder in which the edge weights of each image are kept; one that is
            there is replaced.

    Raises:
        DataError: If there is no image, one cannot be read, or the loss is not finite.
    """
    if batch_size is None:
        batch_size = default_batch(network)
    device = next(network.parameters()).device
    # Of loss, right predictions, those among five, shares of MACs, and predictions.
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    edges = weighted_edges(network)
    count_edges = sum(ends.shape[1] for ends in edges)
    weights = torch.zeros(2, count_edges, dtype=torch.float64, device=device)
    loader = batches(
        images,
        batch_size,
        workers=workers,
        rank=world.rank,
        world_size=world.size,
        pin=device.type == "cuda",
    )
    count_images: int = len(images)  # type: ignore[arg-type]
    if not count_images:
        raise DataError("evaluation needs at least one image, got none")
    price = price or cost(network, images[0][0].shape[-1])
    with ExitStack() as stack:
        add = None
        if collection is not None:
            kept = shared_collection(
                collection,
                network,
                price,
                classes,
                count=count_images,
                batch_size=batch_size,
                world=world,
            )
            add = stack.enter_context(kept)
        for output in outputs(network, loader):
            # Summed on the device: to read each value would be to wait for it.
            sums += _sums(output, price)
            weights += weight_sums(edges, output.adjacency)
            if add is not None:
                add(output)
        loss, correct, among, share, count = world.total(sums).tolist()
        weights = world.total(weights).cpu()
        if not math.isfinite(loss):
            raise DataError(
                f"the loss over these images must be finite, got {loss}: an image or a "
                "weight is not"
            )
    return Evaluation(
        loss=loss / count,
        accuracy=correct / count,
        top5_accuracy=among / count,
        macs_share=share / count_images,
        images=count_images,
        edges=edges,
        weights=weights,
    )


def _sums(output: Output, price: NetworkCost) -> Float[Tensor, " 5"]:
    assert output.labels is not None
    # Each position of a text is a prediction.
    logits, labels = output.logits.flatten(0, -2), output.labels.flatten()
    top = logits.topk(min(5, logits.shape[1])).indices
    return torch.stack(
        [
            functional.cross_entropy(logits, labels, reduction="sum").double(),
            (logits.argmax(1) == labels).sum().double(),
            (top == labels[:, None]).sum().double(),
            mac_shares(price, output.adjacency).double().sum(),
            torch.full((), len(labels), dtype=torch.float64, device=logits.device),
        ]
    )
