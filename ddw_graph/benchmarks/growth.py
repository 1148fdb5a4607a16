"""How time and memory of a complete stage grow with its nodes."""

from collections.abc import Sequence
from functools import partial

import torch

from ddw_graph.benchmarks.acts import inference, settle
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.generators import complete
from ddw_graph.nn.measurement import step_memory
from ddw_graph.nn.stage import Stage

CHANNELS = 16


def growth(
    clock: Clock,
    *,
    edges: Sequence[str] = ("dynamic",),
    batch_size: int = 8,
    image_size: int | None = None,
    nodes: Sequence[int] = (4, 8, 16, 32, 64),
) -> list[Row]:
    """Returns time and memory of stages, relative to the smallest; and time by edge.

    Edges grow with the square of the nodes, operations with the nodes.

    Args:
        image_size: Height and width of the features, pixels; 16 by default.
        nodes: Numbers of nodes, input and output counted.
    """
    size = image_size or 16
    x = torch.randn(batch_size, CHANNELS, size, size, device=clock.device)
    rows = []
    for kind in edges:
        stages = {
            f"{n} nodes": Stage(complete(n - 2), CHANNELS, CHANNELS, edges=kind)
            for n in nodes
        }
        for stage in stages.values():
            settle(stage.to(clock.device), x)
        label = f"{kind}, batch {batch_size}, {CHANNELS} channels, {size} px"
        counts = {n: {"edges": len(s.plan.edges)} for n, s in stages.items()}
        acts = {n: inference(stage, x) for n, stage in stages.items()}
        rows += clock.rows("growth", f"{label}: inference", acts, counts)
        acts = {n: partial(step, stage.train(), x) for n, stage in stages.items()}
        memory = {
            n: counts[n] | step_memory(acts[n], stage.parameters())
            for n, stage in stages.items()
        }
        rows += clock.rows("growth", f"{label}: forward and backward", acts, memory)
    return [row | {"us_per_edge": 1e3 * row["ms"] / row["edges"]} for row in rows]


def step(stage: Stage, x: torch.Tensor) -> None:
    """Runs a stage's part in a step of training."""
    x = x.detach().requires_grad_()
    y = stage(x)
    torch.autograd.grad(y, [x, *stage.parameters()], torch.ones_like(y))
