"""The average of a network's weights over a training."""

from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

Tensors = tuple[Tensor, ...] | list[Tensor]


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Returns a network whose weights will be a moving average of another's.

    The first update copies them. Running statistics are averaged like weights; whole
    numbers, such as indices, are copied: an average of equal ones can round down.

    Args:
        model: The network that is trained.
        decay: What the average keeps of itself at an update, in ``[0, 1)``.
    """
    make: Any = get_ema_multi_avg_fn  # torch gives it no types
    average = make(decay)

    def update(kept: Tensors, new: Tensors, updates: Tensor | int) -> None:
        if kept[0].is_floating_point():
            average(kept, new, updates)
        else:
            for old, value in zip(kept, new, strict=True):
                old.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)
