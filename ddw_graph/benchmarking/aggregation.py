"""The weighted sum of a node's inputs beside a copy of them, and the naive loop."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ddw_graph.benchmarking.acts import Act, inference
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.nn.aggregation import weighted_sum
from ddw_graph.training.timing import paired_times

OURS, NAIVE, COPY = "ddw_graph", "naive loop", "copy of the inputs"


def naive_sum(
    inputs: Sequence[Tensor], weights: Float[Tensor, "batch fan_in"]
) -> Float[Tensor, "batch channels height width"]:
    """Returns the weighted sum as a loop that autograd differentiates."""
    columns = weights[:, :, None, None, None].unbind(1)
    total = torch.mul(inputs[0], columns[0])
    for x, column in zip(inputs[1:], columns[1:], strict=True):
        total = torch.addcmul(total, x, column)
    return total


SUMS: dict[str, Callable[[Sequence[Tensor], Tensor], Tensor]] = {
    OURS: weighted_sum,
    NAIVE: naive_sum,
}


def aggregation(
    run: Run,
    *,
    inputs: int = 24,
    shape: tuple[int, int, int, int] = (8, 256, 28, 28),
) -> list[Measurement]:
    """Returns the time of a node's sum, relative to a copy and to the naive loop.

    The copy reads each input once and writes it once, to memory that is there already.

    Args:
        run: How to measure.
        inputs: Number of inputs.
        shape: Batch, channels, height and width of each.
    """
    features = [
        torch.randn(shape, device=run.device, requires_grad=True) for _ in range(inputs)
    ]
    weights = torch.rand(shape[0], inputs, device=run.device, requires_grad=True)
    gradient = torch.randn(shape, device=run.device)
    targets = [torch.empty_like(x) for x in features]

    def copy() -> None:
        for target, x in zip(targets, features, strict=True):
            target.copy_(x.detach())

    def forward(name: str) -> Tensor:
        return SUMS[name](features, weights)

    def both(name: str) -> tuple[Tensor, ...]:
        return torch.autograd.grad(forward(name), [weights, *features], gradient)

    copy()
    torch.testing.assert_close(forward(OURS), forward(NAIVE))
    for ours, naive in zip(both(OURS), both(NAIVE), strict=True):
        # Of the weights' gradients each is a sum over all elements of a sample.
        torch.testing.assert_close(ours, naive, rtol=1e-3, atol=1e-5 * gradient.numel())
    sizes = f"{inputs} inputs of {'x'.join(map(str, shape))}"
    found = []
    acts: dict[str, dict[str, Act]] = {
        "forward": {name: inference(partial(forward, name)) for name in SUMS},
        "forward and backward": {name: partial(both, name) for name in SUMS},
    }
    for case, by_name in acts.items():
        run.progress(f"{sizes}: {case}")
        times = paired_times(
            {**by_name, COPY: copy},
            rounds=run.rounds,
            warmup=run.warmup,
            device=run.device,
        )
        found += [
            measurement("aggregation", f"{sizes}: {case}", times, what, to=to)
            for what, to in ((OURS, COPY), (OURS, NAIVE), (NAIVE, COPY))
        ]
    return found
