"""Aggregation: what travels along the edges, and the sum of a node's inputs."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.autograd import forward_ad

from ddw_graph.nn.constant import traces
from ddw_graph.nn.features import Features

Multiplier = Float[Tensor, "_ ..."]
"""What multiplies features: a number for each sample, or one row for all; behind it the
axes of the features after the batch, each of its size or 1."""


class Edge(NamedTuple):
    """What travels along an edge; or along all output edges of a node.

    Of several edges, weights and what is open have an axis of edges behind the rows.
    """

    x: Features | None
    weight: Multiplier
    is_open: Bool[Tensor, "_ ..."] | None = None

    def where(self, is_alive: Bool[Tensor, "_ ..."] | None) -> "Edge":
        """Returns the edge closed where its source is dead."""
        if is_alive is None:
            return self
        is_open = is_alive if self.is_open is None else self.is_open & is_alive
        return Edge(self.x, self.weight * is_alive, is_open)

    def apart(self) -> list["Edge"]:
        """Returns each of several edges."""
        weights = self.weight.unbind(1)
        if self.is_open is None:
            return [Edge(self.x, weight) for weight in weights]
        count, shape = len(weights), self.is_open.shape[2:]
        opened = self.is_open.expand(-1, count, *shape).unbind(1)
        pairs = zip(weights, opened, strict=True)
        return [Edge(self.x, weight, is_open) for weight, is_open in pairs]

    def by_sample(self) -> "Edge":
        """Returns the edge with one weight a sample: the mean over other axes."""
        weight, is_open, axes = self.weight, self.is_open, [*range(1, self.weight.ndim)]
        if any(size != 1 for size in weight.shape[1:]):
            weight = weight.mean(axes, keepdim=True)
        if is_open is not None and any(size != 1 for size in is_open.shape[1:]):
            is_open = is_open.any(axes, keepdim=True)
        return Edge(self.x, weight, is_open)

    def unless_closed(self) -> "Edge":
        """Returns the edge without features if it is closed for every sample."""
        closed = self.is_open is not None and not self.is_open.any()
        return self._replace(x=None) if closed else self


def gather(inputs: Sequence[Features], weights: Sequence[Multiplier]) -> Features:
    """Returns the sum of a node's inputs, each times its weight (Eq. 3).

    The one place that an engine may replace. The sum is a tensor of its own and has the
    floating type of the features: in bfloat16 and float16 each of ``fan_in`` steps
    rounds, and an element is off by at most ``fan_in + 1`` units of rounding (2**-8 and
    2**-11) of the sum of its terms' magnitudes.

    Args:
        inputs: Features of one shape, at least one.
        weights: What multiplies each of them, with as many axes.

    Example:
        >>> one = torch.ones(2, 1, 1, 1)
        >>> weights = torch.tensor([[1.0, 0.0], [2.0, 0.5]]).view(2, 2, 1, 1, 1)
        >>> gather([one, one], [*weights]).flatten()
        tensor([3.0000, 0.5000])

    Source:
        DDW, Eq. 3.
    """
    learns = torch.is_grad_enabled() and any(w.requires_grad for w in weights)
    if learns and not traces() and forward_ad._current_level < 0:
        total: Tensor = _Sum.apply(len(inputs), *inputs, *weights)
        return total
    return _sum(inputs, weights)


def _sum(inputs: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Returns the sum, by operators of torch."""
    dtype = reduce(torch.promote_types, [x.dtype for x in inputs])
    total = inputs[0] * weights[0].to(dtype)
    # In place no new memory is asked for, which takes longer than the sum itself.
    add = Tensor.addcmul if traces() else Tensor.addcmul_
    for x, weight in zip(inputs[1:], weights[1:], strict=True):
        total = add(total, x, weight.to(dtype))
    return total


class _Sum(torch.autograd.Function):
    """The same sum, all gradients of which are made in one go, with less memory."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor) -> Tensor:
        """Returns the sum of the first ``count`` tensors, weighed by the others."""
        ctx.count = count
        ctx.save_for_backward(*tensors)
        return _sum(tensors[:count], tensors[count:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        """Returns the gradients of inputs and weights, which have gradients again."""
        tensors, count = ctx.saved_tensors, ctx.count
        others = [*tensors[count:], *tensors[:count]]  # by which each is multiplied
        return None, *(
            (grad * other).sum_to_size(own.shape).to(own.dtype) if needed else None
            for own, other, needed in zip(
                tensors, others, ctx.needs_input_grad[1:], strict=True
            )
        )


def of_rank(weights: Tensor, rank: int) -> Tensor:
    """Returns weights of edges with all axes that features have."""
    missing = rank + 1 - weights.ndim
    return weights.reshape(*weights.shape, *[1] * missing) if missing else weights


def stacked(weights: Sequence[Tensor]) -> Tensor:
    """Returns the multipliers of several edges as one tensor, edges behind the rows."""
    shapes = [weight.shape for weight in weights]
    if any(shape != shapes[0] for shape in shapes):
        shape = torch.broadcast_shapes(*shapes)  # type: ignore[no-untyped-call]
        weights = [weight.expand(shape) for weight in weights]
    return torch.stack([*weights], dim=1)


def alive(edges: Sequence[Edge]) -> Bool[Tensor, "_ ..."] | None:
    """Returns where some edge is open; None where that is sure."""
    opened = [edge.is_open for edge in edges if edge.is_open is not None]
    if len(opened) < len(edges):
        return None
    return stacked(opened).any(1)


def drop_one_input(edges: list[Edge], rate: float) -> list[Edge]:
    """Returns a node's inputs, of which a share of the samples loses an open one.

    The weights that stay do not change: RandWire's DropPath removes an edge and
    rescales nothing. An input that is the only open one stays. We draw for each sample
    and node; RandWire removes one edge for a mini-batch.

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 4, regular regime.
    """
    fan_in = len(edges)
    if fan_in == 1:
        return edges
    weights = stacked([edge.weight for edge in edges])
    batch = max(len(edge.x) for edge in edges if edge.x is not None)
    is_open = (weights != 0).flatten(2).any(2).expand(batch, -1)
    lots = torch.rand(batch, fan_in, device=weights.device)
    lost = lots.masked_fill(~is_open, -1).argmax(1, keepdim=True)
    loses = torch.rand(batch, 1, device=weights.device) < rate
    loses &= is_open.sum(1, keepdim=True) > 1
    places = torch.arange(fan_in, device=weights.device)
    kept = of_rank(~(loses & (places == lost)), weights.ndim - 1)
    columns = (weights * kept).unbind(1)
    pairs = zip(edges, columns, strict=True)
    return [edge._replace(weight=weight) for edge, weight in pairs]
