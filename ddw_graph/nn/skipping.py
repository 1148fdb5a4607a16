"""Skipping: at inference what is closed is neither read nor computed."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

MOST_GATHERED = 0.8
"""Share of a batch up to which a node computes its own samples only: beyond, taking
them out and putting them back costs more than computing the others."""


def alive_samples(
    alive: Bool[Tensor, "_ ..."] | None, batch: int
) -> Int[Tensor, " samples"] | None:
    """Returns the samples for which a node is to be computed; None for all of them.

    Args:
        alive: Where the node has an open input, or one row for all samples; None where
            every sample has.

    Example:
        >>> alive_samples(torch.tensor([[True], [False], [False]]), 3)
        tensor([0])
    """
    if alive is None:
        return None
    samples = alive.flatten(1).any(1).expand(batch).nonzero()[:, 0]
    return samples if len(samples) <= MOST_GATHERED * batch else None


def computed(
    operation: nn.Module,
    x: Tensor,
    samples: Int[Tensor, " samples"] | None,
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
) -> Tensor:
    """Returns what an operation makes of some samples, and 0 for the others.

    Args:
        samples: For which samples to compute, at least one; None for all.
        args: What the operation takes besides them, where all are computed.
        kwargs: The same by name.
    """
    y: Tensor
    if samples is None:
        y = operation(x, *args, **(kwargs or {}))
        return y
    part: Tensor = operation(x[samples])
    last = part.ndim == 4 and part.is_contiguous(memory_format=torch.channels_last)
    y = torch.empty(
        (x.shape[0], *part.shape[1:]),
        dtype=part.dtype,
        device=part.device,
        memory_format=torch.channels_last if last else torch.contiguous_format,
    )
    return y.zero_().index_copy_(0, samples, part)
