"""Inference time of networks beside each other."""

import statistics
import time
from collections.abc import Mapping

import torch
from torch import Tensor, nn


@torch.no_grad()
def inference_times(
    models: Mapping[str, nn.Module], images: Tensor, *, rounds: int = 7
) -> dict[str, float]:
    """Returns the median time of each network for one image, milliseconds.

    The networks take turns, so that a machine whose speed drifts is unfair to none.

    Args:
        models: Networks by name; put into evaluation mode.
        images: One batch, of shape ``(batch, channels, height, width)``.
        rounds: Times that each network runs after one that is not counted.
    """
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(rounds + 1):
        for name, model in models.items():
            model.eval()
            _finish(images)
            began = time.perf_counter()
            model(images)
            _finish(images)
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {
        name: 1000 * statistics.median(times) / len(images)
        for name, times in seconds.items()
    }


def _finish(images: Tensor) -> None:
    """Waits for the device, which may compute behind Python's back."""
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
