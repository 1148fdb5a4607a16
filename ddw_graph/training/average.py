"""A moving average of a network's weights over a training."""

import copy

import torch
from torch import nn


class Average:
    """A network whose weights are a moving average of another's.

    The first update copies them, and of ``t`` updates so far the next one keeps at most
    ``(1 + t) / (10 + t)``: the average of a short training is that of its last weights,
    not of its first. Running statistics are averaged like weights; integers, such as
    indices, are copied.

    Args:
        network: The network that is trained, which is copied.
        decay: What the average keeps of itself at an update, in ``[0, 1)``.

    Source:
        The warm-up of ``tf.train.ExponentialMovingAverage``.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Adds a network's weights to the average."""
        done = self.updates
        kept = min(self.decay, (1 + done) / (10 + done)) if done else 0.0
        new = network.state_dict()
        for name, value in self.network.state_dict().items():
            if kept and value.is_floating_point():
                value.lerp_(new[name], 1 - kept)
            else:
                value.copy_(new[name])
        self.updates += 1
