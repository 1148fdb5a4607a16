"""A moving average of a network's weights over a training."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(network: nn.Module, decay: float) -> AveragedModel:
    """Returns a copy of a network whose weights are a moving average of the network's.

    The first update copies them, and of ``t`` updates so far the next one keeps at most
    ``(1 + t) / (10 + t)``: the average of a short training is that of its last weights,
    not of its first. Running statistics are averaged like weights; integers, such as
    indices, are copied.

    Args:
        decay: What the average keeps of itself at an update, in ``[0, 1)``.

    Source:
        The warm-up of ``tf.train.ExponentialMovingAverage``.
    """

    @torch.no_grad()
    def update(averages: Any, weights: Any, updates: Tensor | int) -> None:
        kept = min(decay, (1 + int(updates)) / (10 + int(updates)))
        for average, new in zip(averages, weights, strict=True):
            if average.is_floating_point():
                average.lerp_(new, 1 - kept)
            else:
                average.copy_(new)

    return AveragedModel(network, multi_avg_fn=update, use_buffers=True)
