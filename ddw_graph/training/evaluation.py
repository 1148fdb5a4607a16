"""How a network does on samples that it was not trained on."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
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
from ddw_graph.training.collecting import from_rows, sample_rows
from ddw_graph.training.collection import columns_of
from ddw_graph.training.edge_log import weight_sums, weighted_edges
from ddw_graph.training.loading import batches, shares
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


def outputs_for(
    network: Network,
    samples: Dataset[Any],
    *,
    batch_size: int | None = None,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
    adjacency: Callable[[slice], Sequence[Tensor]] | None = None,
) -> Iterator[Output]:
    """Yields what a network returns for a data set, a batch at a time.

    Args:
        network: The network, in evaluation mode while it computes.
        samples: Samples and labels.
        batch_size: Samples of a batch; by default that of ``default_batch``.
        adjacency: See ``outputs``.

    Raises:
        DataError: If there is no sample, or one cannot be read.
    """
    if not len(samples):  # type: ignore[arg-type]
        raise DataError("evaluation needs at least one sample, got none")
    loader = batches(
        samples,
        batch_size or default_batch(network),
        workers=workers,
        world=world,
        pin=next(network.parameters()).is_cuda,
    )
    return outputs(network, loader, adjacency=adjacency)


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images, or of windows of a text.

    Args:
        loss: Mean cross-entropy of a prediction, nats.
        accuracy: Share of images whose class is predicted, or of tokens, in ``[0, 1]``.
        top5_accuracy: Share of those whose class is among the five most probable ones.
        macs_share: Mean of the MACs that a sample's wiring asks for, as a share of
            those with every edge open.
        edges: The edges whose weights can change; see ``weighted_edges``.
        weights: Sums over samples of the weights of ``edges``, and of their squares,
            float64.
    """

    loss: float
    accuracy: float
    top5_accuracy: float
    macs_share: float
    samples: int
    edges: list[Tensor] = field(compare=False)
    weights: Tensor = field(compare=False)


def evaluate(
    network: Network,
    samples: Dataset[Any],
    *,
    batch_size: int | None = None,
    workers: int = 0,
    price: NetworkCost | None = None,
    world: World = World(),  # noqa: B008 (frozen)
    classes: Sequence[str] = (),
    collection: Path | None = None,
) -> Evaluation:
    """Returns how a network does on samples, in evaluation mode.

    Args:
        samples: Images and classes, such as ``ImageData.test_inputs`` gives; or windows
            of a text and what follows each token.
        batch_size: Samples at a time; by default that of ``default_batch``.
        price: What the network costs; computed by default.
        world: The processes that evaluate, each its part of every batch.
        classes: Name of each class, for ``collection``.
        collection: Folder of the edge weights of each sample; one that is there is
            replaced.

    Raises:
        DataError: If there is no sample, one cannot be read, or the loss is not finite.
    """
    batch_size = batch_size or default_batch(network)
    batch_outputs = outputs_for(
        network, samples, batch_size=batch_size, workers=workers, world=world
    )
    number: int = len(samples)  # type: ignore[arg-type]
    price = price or cost(network, samples[0][0].shape[-1])
    device = next(network.parameters()).device
    # Of loss, right predictions, those among five, shares of MACs, and predictions.
    sums = torch.zeros(5, dtype=torch.float64, device=device)
    edges = weighted_edges(network)
    count_edges = sum(ends.shape[1] for ends in edges)
    weights = torch.zeros(2, count_edges, dtype=torch.float64, device=device)

    def rows() -> Iterator[Tensor]:
        """Adds to the sums, and yields what a collection keeps of each batch."""
        for output in batch_outputs:
            # Summed on the device: to read each value would be to wait for it.
            sums.add_(_sums(output, price))
            weights.add_(weight_sums(edges, output.adjacency))
            if collection is not None:
                yield sample_rows(output, network, price)
        loss = world.total(sums)[0].item()
        if not math.isfinite(loss):
            raise DataError(
                f"the loss over these samples must be finite, got {loss}: a sample or "
                "a weight is not"
            )

    kept: Iterable[Tensor] = rows()
    if collection is None or world.size > 1:
        kept = list(kept)
    if collection is not None and world.size > 1:
        places = shares(number, batch_size, world)
        width = sum(len(stage.plan.edges) for stage in network.stages)
        # Each process fills its own rows, if it has some, and the sum is the whole.
        shape = number, width + len(columns_of(classes))
        table = torch.zeros(shape, dtype=torch.float64, device=device)
        for place, own in zip(places, kept, strict=True):
            table[place.to(device)] = own
        kept = [world.total(table)]
    if collection is not None and world.leads:
        found = from_rows(kept, network, price, classes)
        found.write(collection, overwrite=True)
    loss, correct, among, share, count = sums.tolist()
    return Evaluation(
        loss=loss / count,
        accuracy=correct / count,
        top5_accuracy=among / count,
        macs_share=share / number,
        samples=number,
        edges=edges,
        weights=world.total(weights).cpu(),
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
