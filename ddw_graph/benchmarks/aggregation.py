"""The weighted sum of a node's inputs compared with a copy of them."""

from functools import partial

import torch
from torch import Tensor

from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.nn.aggregation import gather

INPUTS, CHANNELS = 24, 256


def aggregation(
    clock: Clock, *, batch_size: int = 8, image_size: int | None = None
) -> list[Row]:
    """Returns the time of a node's sum, relative to a copy of its inputs.

    The copy reads each input once and writes it once, to memory that is there already.

    Args:
        image_size: Height and width of the features, pixels; 28 by default.
    """
    size = image_size or 28
    new = partial(torch.rand, device=clock.device, requires_grad=True)
    features = [new(batch_size, CHANNELS, size, size) for _ in range(INPUTS)]
    weights = [new(batch_size, 1, 1, 1) for _ in range(INPUTS)]
    gradient = torch.randn_like(features[0])
    targets = [torch.zeros_like(x) for x in features]

    @torch.no_grad()
    def copy() -> None:
        for target, x in zip(targets, features, strict=True):
            target.copy_(x)

    def forward() -> Tensor:
        return gather(features, weights)

    def backward() -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(), [*weights, *features], gradient)

    acts = {
        "copy of the inputs": copy,
        "weighted sum": torch.no_grad()(forward),
        "weighted sum, forward and backward": backward,
    }
    case = f"{INPUTS} inputs of {batch_size}x{CHANNELS}x{size}x{size}"
    return clock.rows("aggregation", case, acts)
