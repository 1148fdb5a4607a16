"""Inference of networks with closed nodes, compared with every edge open."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ddw_graph.benchmarks.acts import inference, noise, settle, wiring_figures
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.models import create_model
from ddw_graph.nn.plan import StagePlan


def skipping(
    clock: Clock,
    *,
    model: Sequence[str] = ("resnet50", "randwire_small"),
    batch_size: int = 8,
    image_size: int | None = None,
) -> list[Row]:
    """Returns the time of networks with closed nodes, relative to every edge open.

    Half of the nodes of each stage are closed with all of their edges: the same for all
    images, or others for each image. Both are given as the adjacency, as the open edges
    are that the ratio is to.

    Args:
        model: Names of networks, on their default wirings with dynamic edges.
        batch_size: Images; one image is timed too.
        image_size: Their height and width, pixels; 128 by default.

    Raises:
        ModelError: If a network cannot be made.
    """
    rows = []
    for name in model:
        torch.manual_seed(0)
        network = create_model(name, edges="dynamic").to(clock.device)
        images = noise(network, batch_size, image_size, default=128).to(clock.device)
        settle(network, images)
        for stage in network.stages:
            stage.skips = True  # on any device
        plans = [stage.plan for stage in network.stages]
        for batch in sorted({1, batch_size}):
            x = images[:batch]
            own = [random_half(plan, batch) for plan in plans]
            closed = {
                "every edge open": [torch.zeros_like(each) for each in own],
                "the same half of the nodes closed": [e[:1].expand_as(e) for e in own],
            }
            if batch > 1:
                closed["half of the nodes closed, drawn for each image"] = own
            adjacency = {
                variant: [
                    opened(plan, nodes).to(x.device)
                    for plan, nodes in zip(plans, each, strict=True)
                ]
                for variant, each in closed.items()
            }
            rows += clock.rows(
                "skipping",
                f"{name}, batch {batch}, {x.shape[-1]} px",
                {v: inference(network, x, adjacency=m) for v, m in adjacency.items()},
                {v: wiring_figures(network, x, m) for v, m in adjacency.items()},
            )
    return rows


def random_half(plan: StagePlan, batch: int) -> Bool[Tensor, "batch nodes"]:
    """Returns half of the nodes that compute, drawn for each sample."""
    n = plan.nodes - 2
    generator = torch.Generator().manual_seed(0)
    ranks = torch.rand(batch, n, generator=generator).argsort(1).argsort(1)
    return torch.nn.functional.pad(ranks < n // 2, (1, 1))


def opened(
    plan: StagePlan, closed: Bool[Tensor, "rows nodes"]
) -> Float[Tensor, "rows nodes nodes"]:
    """Returns the adjacency in which nodes are closed, and open inputs are averaged.

    Args:
        closed: Nodes of which no edge is open.

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
