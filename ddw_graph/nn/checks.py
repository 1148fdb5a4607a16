"""Checks of what runs through a stage: features, weights, an adjacency."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.nn.constant import traces
from ddw_graph.nn.plan import StagePlan


def check_features(
    x: Any,
    channels: int,
    plan: StagePlan,
    what: str,
    rank: int | None = None,
    like: Tensor | None = None,
) -> None:
    """Checks the width and the rank of features, and their batch against others'."""
    axis = plan.channel_axis
    fits = isinstance(x, Tensor) and x.is_floating_point()
    fits = fits and (x.ndim == rank if rank else x.ndim > 1)
    fits = fits and x.shape[axis] == channels
    if not fits or (like is not None and x.shape[0] != like.shape[0]):
        place = "second" if axis == 1 else "last"
        axes = f"{rank} axes" if rank else "2 axes or more"
        batch = "" if like is None else f", a batch of {like.shape[0]}"
        got: Any = type(x).__name__
        if isinstance(x, Tensor):
            got = tuple(x.shape) if x.is_floating_point() else x.dtype
        raise ModelError(
            f"features must be a tensor of floats with {axes}{batch}, and {channels} "
            f"channels on the {place} axis, got {got} for {what}"
        )


def check_weights(weights: Any, edges: int, x: Tensor, node: int, stage: str) -> None:
    """Checks that weights of edges broadcast against features."""
    fits = isinstance(weights, Tensor) and weights.ndim in (2, x.ndim + 1)
    if fits and (fits := weights.shape[1] == edges):
        sizes = (*weights.shape[:1], *weights.shape[2:])
        pairs = zip(sizes, x.shape, strict=False)
        fits = all(size == 1 or size == own for size, own in pairs)
    if not fits:
        got = (
            tuple(weights.shape)
            if isinstance(weights, Tensor)
            else type(weights).__name__
        )
        raise ModelError(
            "edge weights, and which edges are open, must be a tensor of the shape "
            f"(1 or batch, {edges}), or with the features' further axes behind it, "
            f"each 1 or theirs, got {got} for features {tuple(x.shape)} of node {node} "
            f"of {stage}"
        )


def check_count(adjacency: Sequence[Tensor], stages: int) -> None:
    """Checks that there is an adjacency for each stage."""
    if len(adjacency) != stages:
        raise ModelError(
            f"adjacency must hold a tensor for each of {stages} stages, got "
            f"{len(adjacency)}"
        )


def check_adjacency(
    adjacency: Tensor, plan: StagePlan, stage: str, x: Tensor | None = None
) -> None:
    """Checks the multipliers of a stage's edges.

    Args:
        x: The stage's input, if the adjacency must fit it: its batch, or 1 sample for
            all, and its axes or none.
    """
    nodes, shape = plan.nodes, adjacency.shape
    fits = adjacency.ndim > 2 and shape[1:3] == (nodes, nodes)
    batch = "batch"
    if x is not None:
        batch = f"1 or {len(x)}"
        fits = fits and adjacency.ndim in (3, x.ndim + 2) and shape[0] in (1, len(x))
    if not fits:
        raise ModelError(
            f"adjacency must have the shape ({batch}, {nodes}, {nodes}), or with the "
            f"further axes that the stage returns, got {tuple(shape)} for {stage}"
        )
    if traces() or adjacency.is_meta:
        return  # What follows reads values, which a traced graph does not have.
    sources, targets = plan.ends
    missing = torch.ones(nodes, nodes, dtype=torch.bool)
    missing[targets, sources] = False
    missing = missing.view(nodes, nodes, *[1] * (adjacency.ndim - 3))
    wrong = (adjacency * missing.to(adjacency.device) != 0) | ~adjacency.isfinite()
    if wrong.any():
        place = wrong.nonzero()[0].tolist()
        sample, j, i = place[:3]
        raise ModelError(
            "adjacency must be finite, and 0 where the wiring has no edge, got "
            f"{adjacency[tuple(place)].item():g} for {i} -> {j} of sample {sample} in "
            f"{stage}"
        )
