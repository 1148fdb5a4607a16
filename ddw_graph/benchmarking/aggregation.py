"""The weighted sum of a node's inputs compared with a copy of them."""

import torch
from torch import Tensor

from ddw_graph.benchmarking.acts import Act, inference
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.nn.aggregation import gather
from ddw_graph.training.timing import paired_times

OURS, COPY = "ddw_graph", "copy of the inputs"


def aggregation(
    run: Run,
    *,
    inputs: int = 24,
    shape: tuple[int, int, int, int] = (8, 256, 28, 28),
) -> list[Measurement]:
    """Returns the time of a node's sum, relative to a copy.

    The copy reads each input once and writes it once, to memory that is there already.

    Args:
        run: How to measure.
        inputs: Number of inputs.
        shape: Batch, channels, height and width of each.
    """
    features = [
        torch.randn(shape, device=run.device, requires_grad=True) for _ in range(inputs)
    ]
    weights = [
        torch.rand(shape[0], 1, 1, 1, device=run.device, requires_grad=True)
        for _ in range(inputs)
    ]
    gradient = torch.randn(shape, device=run.device)
    targets = [torch.empty_like(x) for x in features]

    def copy() -> None:
        for target, x in zip(targets, features, strict=True):
            target.copy_(x.detach())

    def forward() -> Tensor:
        return gather(features, weights)

    def both() -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(), [*weights, *features], gradient)

    copy()
    sizes = f"{inputs} inputs of {'x'.join(map(str, shape))}"
    found = []
    acts: dict[str, Act] = {
        "forward": inference(forward),
        "forward and backward": both,
    }
    for case, act in acts.items():
        run.progress(f"{sizes}: {case}")
        times = paired_times(
            {OURS: act, COPY: copy},
            rounds=run.rounds,
            warmup=run.warmup,
            device=run.device,
        )
        label = f"{sizes}: {case}"
        found.append(measurement("aggregation", label, times, OURS, to=COPY))
    return found
