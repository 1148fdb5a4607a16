"""Parity: an exported network computes what the network does."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddw_graph.errors import ExportError

BATCHES = (1, 5)
"""Numbers of images in a batch at which outputs are compared."""

TOLERANCE = 1e-4
"""Largest difference that rounding in float32 is allowed, over the largest value of the
output."""

Runs = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Parity:
    """How far an exported network is from the network.

    Args:
        logits: Largest difference of a logit, over the largest logit of the batch.
        adjacency: Largest difference of a multiplier, likewise; None where they are not
            among the outputs.
        batches: Numbers of images in the batches compared.
    """

    logits: float
    adjacency: float | None
    batches: tuple[int, ...] = BATCHES


@torch.no_grad()
def parity(network: nn.Module, exported: Runs, shape: Sequence[int]) -> Parity:
    """Returns how far an exported network is from the network, on images of noise.

    Args:
        network: Returns a tuple: logits, and adjacencies if any.
        exported: Returns what the file computes, in the same order.
        shape: Channels, height and width of an image.

    Raises:
        ExportError: If an output differs by more than ``TOLERANCE``, in its shape, or
            is not finite.

    Example:
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return (2 * x.flatten(1),)
        >>> parity(Twice(), lambda x: [x.flatten(1) + x.flatten(1)], (1, 2, 2))
        Parity(logits=0.0, adjacency=None, batches=(1, 5))
    """
    generator = torch.Generator().manual_seed(0)
    farthest: list[float] = []
    for batch in BATCHES:
        x = torch.randn(batch, *shape, generator=generator)
        wanted, found = network(x), exported(x)
        if len(wanted) != len(found):
            raise ExportError(
                f"the file must have {len(wanted)} outputs, got {len(found)}"
            )
        differences = [
            _difference(ours, theirs, place, batch)
            for place, (ours, theirs) in enumerate(zip(wanted, found, strict=True))
        ]
        pairs = zip(farthest or differences, differences, strict=True)
        farthest = [max(pair) for pair in pairs]
    logits, *matrices = farthest
    return Parity(logits, max(matrices) if matrices else None)


def _difference(wanted: Tensor, found: Tensor, place: int, batch: int) -> float:
    """Returns the largest difference of an output, over its largest value."""
    what = f"adjacency of stage {place}" if place else "logits"
    if wanted.shape != found.shape:
        raise ExportError(
            f"{what} of {batch} images must have the shape {tuple(wanted.shape)}, the "
            f"file gives {tuple(found.shape)}"
        )
    if not wanted.isfinite().all():
        raise ExportError(
            f"the network's {what} must be finite to be compared, got some that are "
            "not for images of noise"
        )
    largest = wanted.abs().max().item()
    farthest = (wanted - found).abs().max().item()
    difference = farthest / largest if largest else farthest
    if not difference <= TOLERANCE:  # as not-a-number is not
        raise ExportError(
            f"an exported network must compute what the network does to {TOLERANCE:g} "
            f"of the largest value, got {difference:.1e} in the {what} of {batch} "
            "images; nothing was written"
        )
    return difference
