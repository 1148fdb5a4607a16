"""The test of instances: a network with other wirings than each image's own."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.nn import functional

from ddw_graph.errors import RunError
from ddw_graph.experiments.sample_wirings import (
    SampleWirings,
    adjacencies,
    mean_wiring,
    sample_wirings,
)
from ddw_graph.experiments.variation import Variation, variation
from ddw_graph.nn.edges import edge_text, is_static
from ddw_graph.nn.network import Network
from ddw_graph.training.bad_images import leaving_out
from ddw_graph.training.data import ImageData
from ddw_graph.training.images import Images
from ddw_graph.training.loading import Hears, batches

WIRINGS = ("own", "mean", "class", "shuffled")
"""Each image's own wiring; the mean one of the training images; that of another image
of its class; that of any other image."""

Seed = int | tuple[int, ...]


@dataclass(frozen=True)
class Tested:
    """How a network does with a kind of wirings.

    Args:
        wiring: One of ``WIRINGS``.
        accuracy: Share of test images whose class is predicted, in ``[0, 1]``.
        loss: Mean cross-entropy.
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
    seed: Seed,
    batch_size: int = 250,
    workers: int = 0,
) -> tuple[list[Tested], list[Variation]]:
    """Returns how a network does with each kind of wirings, and how they vary.

    Images are shuffled over the whole test set, not within a batch. Memory holds a
    batch of images, and of each test image the weights of its edges.

    Args:
        model: The network; put into evaluation mode.
        data: The images that it was trained and is tested on.
        seed: Fixes both shuffles; one number, or several.
        batch_size: Images at a time.
        workers: Processes that load images.

    Raises:
        RunError: If all stages have static edges.
    """
    if all(is_static(stage.edges) for stage in model.stages):
        kinds = ", ".join(sorted({edge_text(stage.edges) for stage in model.stages}))
        raise RunError(
            "wirings of instances need edges that depend on the image, as dynamic ones "
            f"do, got {kinds}"
        )
    bad = leaving_out(data)
    own = sample_wirings(
        model, data.test, batch_size=batch_size, workers=workers, bad=bad
    )
    mean = mean_wiring(
        model, data.train, batch_size=batch_size, workers=workers, bad=bad
    )
    count = len(own.labels)
    orders = {
        "own": torch.arange(count),
        "class": shuffled_in_classes(own.labels, seed=seed),
        "shuffled": shuffled(count, seed=seed),
    }

    def given(wiring: str, here: slice) -> list[Tensor]:
        if wiring == "mean":
            return mean
        chosen = orders[wiring][here]
        return adjacencies(model, [weights[chosen] for weights in own.weights])

    tested = [
        _tested(
            model,
            data.test,
            wiring,
            own,
            partial(given, wiring),
            batch_size,
            workers,
            bad,
        )
        for wiring in WIRINGS
    ]
    weighted = [
        [not constant for constant in stage.plan.constant] for stage in model.stages
    ]
    varied = [
        variation(weights[:, chosen].double().numpy(), own.labels.numpy())
        for weights, chosen in zip(own.weights, weighted, strict=True)
    ]
    return tested, varied


def shuffled(count: int, *, seed: Seed) -> Int[Tensor, " images"]:
    """Returns a random order of images; equal seeds give equal orders."""
    return torch.from_numpy(
        np.random.default_rng((*_numbers(seed), 0)).permutation(count)
    )


def shuffled_in_classes(
    labels: Int[Tensor, " images"], *, seed: Seed
) -> Int[Tensor, " images"]:
    """Returns a random order of images that puts each in the place of one of its class.

    Example:
        >>> order = shuffled_in_classes(torch.tensor([0, 1, 0, 1, 0]), seed=0)
        >>> torch.tensor([0, 1, 0, 1, 0])[order]
        tensor([0, 1, 0, 1, 0])
    """
    generator = np.random.default_rng((*_numbers(seed), 1))
    order = torch.arange(len(labels))
    for label in sorted(set(labels.tolist())):
        (places,) = (labels == label).nonzero(as_tuple=True)
        order[places] = places[torch.from_numpy(generator.permutation(len(places)))]
    return order


def _numbers(seed: Seed) -> tuple[int, ...]:
    return (seed,) if isinstance(seed, int) else seed


@torch.no_grad()
def _tested(
    model: Network,
    images: Images,
    wiring: str,
    own: SampleWirings,
    given: Callable[[slice], list[Tensor]],
    batch_size: int,
    workers: int,
    bad: Hears | None,
) -> Tested:
    """Returns how a network does with the wirings that images are given."""
    first = next(model.parameters())
    loss, correct, changed, done = 0.0, 0, 0, 0
    for x, labels in batches(images, batch_size, workers=workers, bad=bad):
        if not len(x):
            continue
        here = slice(done, done + len(x))
        adjacency = [matrix.to(first.device) for matrix in given(here)]
        logits = model(x.to(first.device, first.dtype), adjacency=adjacency).cpu()
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        predicted = logits.argmax(1)
        correct += int((predicted == labels).sum())
        changed += int((predicted != own.predictions[here]).sum())
        done += len(x)
    return Tested(wiring, correct / done, loss / done, changed)
