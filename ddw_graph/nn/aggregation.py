"""Aggregation: what a node does with the features that it hears."""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def weighted_sum(
    inputs: Sequence[Tensor], weights: Float[Tensor, "rows fan_in"]
) -> Float[Tensor, "batch channels height width"]:
    """Sums features, each sample's scaled by its weights (Eq. 3).

    Args:
        inputs: Features of shape ``(batch, channels, height, width)``, at least one.
        weights: A weight for each input; a row a sample, or one row for all.

    Example:
        >>> one = torch.ones(2, 1, 1, 1)
        >>> weighted_sum([one, one], torch.tensor([[1.0, 2.0], [0.0, 0.5]])).flatten()
        tensor([3.0000, 0.5000])

    Source:
        DDW, Eq. 3.
    """
    columns = weights[:, :, None, None, None].unbind(1)
    total = inputs[0] * columns[0]
    for x, column in zip(inputs[1:], columns[1:], strict=True):
        total = torch.addcmul(total, x, column)
    return total


def drop_one_input(
    weights: Float[Tensor, "rows fan_in"], batch: int, rate: float
) -> Float[Tensor, "batch fan_in"]:
    """Closes one open input, drawn at random, for a share of the samples.

    The weights that stay are as they were: RandWire's DropPath removes an edge and
    rescales nothing. An input that is the only open one stays.

    Args:
        weights: Weights of a node's inputs; a row a sample, or one row for all.
        batch: Number of samples.
        rate: Probability that a sample loses one of its inputs, in ``[0, 1]``.

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 4, regular regime.
    """
    fan_in = weights.shape[1]
    is_open = (weights != 0).expand(batch, -1)
    lots = torch.rand(batch, fan_in, device=weights.device)
    lost = lots.masked_fill(~is_open, -1).argmax(1, keepdim=True)
    loses = torch.rand(batch, 1, device=weights.device) < rate
    loses &= is_open.sum(1, keepdim=True) > 1
    return weights * ~torch.zeros_like(is_open).scatter(1, lost, loses)
