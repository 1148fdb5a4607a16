"""Skipping: at inference what is closed is neither read nor computed."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor, nn

from ddw_graph.nn.aggregation import Signal
from ddw_graph.nn.normalisation import signal_of

MOST_GATHERED = 0.8
"""Share of a batch up to which a node is computed for its own samples alone: beyond,
taking them out and putting them back costs more than computing the others."""


def alive_samples(
    alive: Bool[Tensor, "rows 1"] | None, batch: int
) -> Int[Tensor, " samples"] | None:
    """Returns the samples for which a node is to be computed; None for all of them.

    Args:
        alive: For which samples the node hears an open edge, or one row for all; None
            where every sample does.
        batch: Number of samples.

    Example:
        >>> alive_samples(torch.tensor([[True], [False], [False]]), 3)
        tensor([0])
    """
    if alive is None:
        return None
    samples = alive.expand(batch, 1)[:, 0].nonzero()[:, 0]
    return samples if len(samples) <= MOST_GATHERED * batch else None


def applied(
    operation: nn.Module, x: Tensor, samples: Int[Tensor, " samples"] | None
) -> Signal:
    """Returns what an operation makes of some samples.

    What it is for the others is not to be read.

    Args:
        operation: The operation of a node.
        x: Features of the whole batch.
        samples: For which samples to compute, at least one; None for all.
    """
    if samples is None:
        return signal_of(operation, x)
    # Skipping is for inference, where nothing is left to the sum.
    part: Tensor = operation(x[samples])
    channels_last = part.is_contiguous(memory_format=torch.channels_last)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    whole = torch.empty(
        (len(x), *part.shape[1:]),
        dtype=part.dtype,
        device=part.device,
        memory_format=layout,
    )
    others = torch.ones(len(x), dtype=torch.bool, device=x.device)
    others[samples] = False
    # Zeros, so that a weight of 0 leaves nothing of them.
    whole.index_fill_(0, others.nonzero()[:, 0], 0.0)
    return Signal(whole.index_copy_(0, samples, part))
