"""How the time of a complete dynamic stage grows with nodes, and with samples."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ddw_graph.benchmarking.acts import Act, inference, settle
from ddw_graph.benchmarking.measurement import Curve, Run, curve
from ddw_graph.generators import complete
from ddw_graph.nn.stage import Stage
from ddw_graph.training.timing import paired_times


def forward_and_backward(stage: Stage, x: Tensor) -> Act:
    """Returns a stage's part in a step of training."""
    stage.train()
    x = x.detach().requires_grad_()
    parameters = [x, *stage.parameters()]
    gradient = torch.randn(len(x), stage.channels, *x.shape[2:], device=x.device)

    def step() -> None:
        torch.autograd.grad(stage(x), parameters, gradient)

    return step


def forward(stage: Stage, x: Tensor) -> Act:
    """Returns a stage's part in inference."""
    settle(stage, partial(stage, x))
    return inference(partial(stage, x))


ACTS: dict[str, Callable[[Stage, Tensor], Act]] = {
    "inference": forward,
    "forward and backward": forward_and_backward,
}


def growth(
    run: Run,
    *,
    nodes: Sequence[int] = (4, 8, 16, 32, 64, 128),
    batches: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    at_nodes: int = 32,
    at_batch: int = 8,
    channels: int = 16,
    size: int = 16,
) -> list[Curve]:
    """Returns how time grows with N, with the edges that N brings, and with samples.

    Args:
        run: How to measure.
        nodes: Numbers N of nodes, input and output counted.
        batches: Numbers of samples.
        at_nodes: N where the samples grow.
        at_batch: Samples where N grows.
        channels: Width of the stage.
        size: Height and width of the features, pixels.
    """
    curves = []
    for what, act in ACTS.items():

        def timed(
            sizes: Sequence[tuple[int, int]],
            what: str = what,
            act: Callable[[Stage, Tensor], Act] = act,
        ) -> list[list[float]]:
            acts = {}
            for n, batch in sizes:
                stage = Stage(complete(n - 2), channels, channels, edges="dynamic")
                x = torch.randn(batch, channels, size, size, device=run.device)
                acts[f"{n}, {batch}"] = act(stage.to(run.device), x)
            run.progress(f"{what}: nodes and batch {'; '.join(acts)}")
            times = paired_times(
                acts, rounds=run.rounds, warmup=run.warmup, device=run.device
            )
            return list(times.values())

        wide = f"{channels} channels, {size} px"
        times = timed([(n, at_batch) for n in nodes])
        case = f"{what}, batch {at_batch}, {wide}"
        edges = [n * (n - 1) // 2 for n in nodes]
        curves += [
            curve("growth", case, "nodes", nodes, times),
            curve("growth", case, "edges", edges, times),
        ]
        times = timed([(at_nodes, batch) for batch in batches])
        case = f"{what}, {at_nodes} nodes, {wide}"
        curves.append(curve("growth", case, "batch", batches, times))
    return curves
