"""Features: the batch first, one axis of channels, positions along all others."""

from math import prod

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import rms_norm

Features = Float[Tensor, "batch ..."]
Weights = Float[Tensor, "_ edges ..."]
"""Weights of edges. ``rows`` is the batch, or 1 where all samples share the weights;
behind the edges come the axes of the features after the batch, each of its size or 1,
or none where a weight is the same for all channels and positions."""


def channels_last(x: Features, axis: int) -> Float[Tensor, "batch *positions channels"]:
    """Returns a view of features with their channels on the last axis."""
    return x if axis == -1 else x.movedim(axis, -1)


def pooled(x: Features, axis: int) -> Float[Tensor, "batch channels"]:
    """Returns the mean of each channel over positions.

    Args:
        axis: The axis of channels, 1 or -1.

    Example:
        >>> pooled(torch.arange(6.0).view(1, 3, 2), -1)
        tensor([[2., 3.]])
    """
    if x.ndim == 2:
        return x
    inner = slice(2, None) if axis == 1 else slice(1, -1)
    # A sum's gradient is a view of its small self, a mean's is written out. Half
    # precision could not hold the sum.
    half = x.dtype in (torch.float16, torch.bfloat16)
    total = x.sum([*range(x.ndim)][inner], dtype=torch.float32 if half else x.dtype)
    return total / prod(x.shape[inner])  # not numel, which is a constant of an export


def rms_normalized(
    x: Float[Tensor, "batch *positions channels"],
) -> Float[Tensor, "batch *positions channels"]:
    """Returns features divided by the root mean square of their channels."""
    return rms_norm(x, x.shape[-1:])


def by_position(values: Float[Tensor, "batch *positions edges"], axis: int) -> Weights:
    """Returns values of edges at each position as weights.

    Args:
        values: A value for each sample, position and edge.
        axis: The axis of channels of the features, 1 or -1.

    Example:
        >>> by_position(torch.zeros(8, 14, 14, 3), 1).shape
        torch.Size([8, 3, 1, 14, 14])
    """
    return values.movedim(-1, 1).unsqueeze(2 if axis == 1 else -1)


def by_sample(weights: Tensor, *, axes: int = 2) -> Tensor:
    """Returns weights averaged over channels and positions.

    Args:
        axes: How many axes stay.
    """
    return weights if weights.ndim == axes else weights.flatten(axes).mean(axes)
