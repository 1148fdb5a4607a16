"""Inference of a stage where half of its nodes are closed, beside its dense time."""

from collections.abc import Sequence
from functools import partial

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ddw_graph.benchmarking.acts import images, inference, settle
from ddw_graph.benchmarking.measurement import Measurement, Run, measurement
from ddw_graph.models import create_model
from ddw_graph.nn.plan import StagePlan
from ddw_graph.nn.stage import Stage
from ddw_graph.training.timing import paired_times

DENSE = "every edge open"
SAME = "the same half of the nodes closed"
OWN = "half of the nodes closed, drawn for each sample"


def opened(
    plan: StagePlan, closed: Bool[Tensor, "rows nodes"]
) -> Float[Tensor, "rows nodes nodes"]:
    """Returns an adjacency in which nodes are closed, and what is open averages.

    Args:
        plan: The plan of the stage.
        closed: Which nodes nothing goes to or comes from.

    Example:
        >>> from ddw_graph.generators import complete
        >>> from ddw_graph.nn.plan import plan
        >>> opened(plan(complete(1)), torch.tensor([[False, True, False]]))[0]
        tensor([[0., 0., 0.],
                [0., 0., 0.],
                [1., 0., 0.]])
    """
    source, target = torch.tensor(plan.edges).T
    matrix = torch.zeros(len(closed), plan.nodes, plan.nodes)
    matrix[:, target, source] = 1.0
    matrix = matrix.masked_fill(closed[:, None, :] | closed[:, :, None], 0.0)
    return matrix / matrix.sum(2, keepdim=True).clamp(min=1)


def every_second(plan: StagePlan, batch: int) -> Bool[Tensor, "batch nodes"]:
    """Returns every second node that computes, the same for all samples."""
    nodes = torch.arange(plan.nodes)
    return ((nodes % 2 == 0) & (nodes > 0) & (nodes < plan.nodes - 1)).expand(batch, -1)


def random_half(
    plan: StagePlan, batch: int, *, seed: int
) -> Bool[Tensor, "batch nodes"]:
    """Returns half of the nodes that compute, drawn for each sample."""
    generator = torch.Generator().manual_seed(seed)
    n = plan.nodes - 2
    ranks = torch.rand(batch, n, generator=generator).argsort(1).argsort(1)
    return torch.nn.functional.pad(ranks < n // 2, (1, 1))


def skipping(
    run: Run,
    *,
    stages: Sequence[tuple[str, int, int]] = (
        ("resnet50", 3, 128),
        ("randwire_small", 1, 224),
    ),
    batch: int = 8,
    random_batch: int = 32,
) -> list[Measurement]:
    """Returns the time of stages with closed nodes, relative to their dense time.

    Each is a stage of a network on complete DAGs, and gets the features that it gets
    there; what is open or closed is given as its adjacency, in the dense case too.

    Args:
        run: How to measure.
        stages: A network, the number of its stage, and the size of the images, pixels.
        batch: Samples where the same nodes are closed for all.
        random_batch: Samples where each has nodes of its own closed.
    """
    found = []
    for name, place, size in stages:
        model = create_model(name, edges="dynamic").to(run.device)
        x = images(max(batch, random_batch), size, run.device)
        settle(model, partial(model, x))
        with torch.no_grad():
            x = model.stem(x)
            for before in model.stages[: place - 1]:
                x = before(x)
        stage = model.stages[place - 1]
        del model
        stage.skips = True  # on any device
        n = stage.plan.nodes - 2
        label = f"{name}'s stage {place}, {n} nodes, {size} px"
        for words, closed in (
            (SAME, every_second(stage.plan, batch)),
            (OWN, random_half(stage.plan, random_batch, seed=0)),
            (SAME, every_second(stage.plan, 1)),
        ):
            case = f"{label}, batch {len(closed)}"
            run.progress(f"{case}: {words}")
            found.append(_stage(run, stage, x[: len(closed)], case, words, closed))
    return found


def _stage(
    run: Run, stage: Stage, x: Tensor, case: str, what: str, closed: Tensor
) -> Measurement:
    dense = opened(stage.plan, torch.zeros_like(closed))
    matrices = {
        what: opened(stage.plan, closed).to(x.device),
        DENSE: dense.to(x.device),
    }
    settle(stage, partial(stage, x, adjacency=matrices[DENSE]))
    check_skipping(stage, x, matrices[what])
    times = paired_times(
        {
            name: inference(partial(stage, x, adjacency=matrix))
            for name, matrix in matrices.items()
        },
        rounds=run.rounds,
        warmup=run.warmup,
        device=run.device,
    )
    return measurement("skipping", case, times, what, to=DENSE)


@torch.no_grad()
def check_skipping(stage: Stage, x: Tensor, adjacency: Tensor) -> None:
    """Checks that a stage that skips computes what one that masks does."""
    skips = stage.skips
    found = []
    for stage.skips in (True, False):
        found.append(stage(x, adjacency=adjacency))
    stage.skips = skips
    torch.testing.assert_close(*found, rtol=1e-3, atol=1e-4)
