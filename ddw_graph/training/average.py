"""A moving average of a network's weights over a training."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(network: nn.Module, decay: float) -> AveragedModel:
    """Returns a network whose weights will be a moving average of another's.

    The first update copies them, and of ``t`` updates so far the next one keeps at most
    ``(1 + t) / (10 + t)``: the average of a short training is that of its last weights,
    not of its first. Running statistics are averaged like weights; integers, such as
    indices, are copied: an average of equal ones can round down.

    Args:
        network: The network that is trained.
        decay: What the average keeps of itself at an update, in ``[0, 1)``.

    Source:
        The warm-up of ``tf.train.ExponentialMovingAverage``.
    """
    make: Any = get_ema_multi_avg_fn  # torch gives it no types

    def update(kept: Tensors, new: Tensors, updates: Tensor | int) -> None:
        if kept[0].is_floating_point():
            done = int(average.n_averaged)  # on the CPU, which ``updates`` need not be
            make(min(decay, (1 + done) / (10 + done)))(kept, new, updates)
        else:
            for old, value in zip(kept, new, strict=True):
                old.copy_(value)

    average = AveragedModel(network, multi_avg_fn=update, use_buffers=True)
    return average
