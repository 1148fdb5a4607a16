"""Aggregation: what passes along the edges from node to node.

A node's output goes out once for each edge, and the next node sums what it hears. The
reference says this in plain operations that autograd, ``torch.compile`` and
``torch.export`` follow. The fast form sums in place, and its backward pass gives a
node the gradients of all that heard it at once: it reads each of them a single time,
where plain autograd scales each into a copy of its own and then adds the copies.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Features = Float[Tensor, "batch channels height width"]

LONG = 16_384
"""Elements of a sample from which a dot product is worth a call of its own."""

SMALL = 2**17
"""Elements of features below which training sums by plain operations: what the fast
form saves is less than what its calls cost."""

_REFERENCE = ContextVar("reference", default=False)


@contextmanager
def reference() -> Iterator[None]:
    """Aggregates by the reference for a while.

    The fast form has no second derivatives and knows nothing of ``torch.func``: what
    needs them runs its forward pass in here.

    Example:
        >>> x, w = torch.ones(1, 1, 1, 1), torch.ones(1, 1, requires_grad=True)
        >>> with reference():
        ...     y = weighted_sum([x], w)
        >>> y.grad_fn.name()
        'MulBackward0'
    """
    token = _REFERENCE.set(True)
    try:
        yield
    finally:
        _REFERENCE.reset(token)


def trains_fast(x: Tensor) -> bool:
    """Returns whether what is trained with features is made by the fast form."""
    return torch.is_grad_enabled() and x.numel() >= SMALL and not uses_reference(x)


def first_order(
    backward: Callable[..., tuple[Tensor | None, ...]],
) -> Callable[..., tuple[Tensor | None, ...]]:
    """Makes a function's backward pass refuse to be differentiated.

    ``once_differentiable`` would not notice where the gradient that comes in is a
    constant, and the second derivative would lack what the weights have in it.
    """

    @wraps(backward)
    def wrapped(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "second derivatives of a wiring need a forward pass within "
                "ddw_graph.nn.aggregation.reference(), got one without it"
            )
        return backward(ctx, *grads)

    return wrapped


def uses_reference(x: Tensor) -> bool:
    """Returns whether what is computed with a tensor must be plain operations."""
    return torch.compiler.is_compiling() or _REFERENCE.get() or x.is_meta


class Signal(NamedTuple):
    """Features on their way: ``x``, or ``scale * x + shift`` that nobody has made yet.

    A node that ends in batch normalisation need not write out what that makes of each
    element: the sum of the next node multiplies by the scale anyway.

    Where gradients flow, that of ``x`` is the gradient of the features.

    Args:
        x: Features.
        scale: Factor of each channel; None for 1.
        shift: Summand of each channel; None for 0.
    """

    x: Features
    scale: Float[Tensor, " channels"] | None = None
    shift: Float[Tensor, " channels"] | None = None

    def made(self) -> Features:
        """Returns the features themselves."""
        if self.scale is None or self.shift is None:
            return self.x
        if not self.x.requires_grad:
            return _made(self.x, self.scale, self.shift)
        features: Tensor = _Made.apply(*self)
        return features

    def pooled(self) -> Float[Tensor, "batch channels"]:
        """Returns the mean of each channel."""
        if self.scale is None or self.shift is None:
            # A sum's gradient is a view of its small self, a mean's is written out.
            size = self.x.shape[2] * self.x.shape[3]
            # Half precision could not hold the sum.
            half = self.x.dtype in (torch.float16, torch.bfloat16)
            dtype = torch.float32 if half else self.x.dtype
            return self.x.sum((2, 3), dtype=dtype) / size
        if not self.x.requires_grad:
            return _pooled(self.x, self.scale, self.shift)
        means: Tensor = _Pooled.apply(*self)
        return means


def _made(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return torch.addcmul(shift.view(-1, 1, 1), x, scale.view(-1, 1, 1))


def _pooled(x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    size = x.shape[2] * x.shape[3]
    return torch.addcmul(shift, x.sum((2, 3)), scale, value=1 / size)


class _Made(torch.autograd.Function):
    """Scales and shifts; the gradient is that of the features already."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return _made(x, scale, shift)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return grad, None, None


class _Pooled(torch.autograd.Function):
    """Pools features that nobody has made yet."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.shape = x.shape
        return _pooled(x, scale, shift)

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        height, width = ctx.shape[2:]
        spread = (grad / (height * width))[:, :, None, None]
        return spread.expand(ctx.shape), None, None


def weighted_sum(
    inputs: Sequence[Tensor], weights: Float[Tensor, "rows fan_in"]
) -> Features:
    """Sums features, each sample's scaled by its weights (Eq. 3).

    The sum has the floating type of the features: in bfloat16 and float16 each of
    ``fan_in`` steps rounds, and an element is off by at most ``fan_in + 1`` units of
    rounding (2**-8 and 2**-11) of the sum of its terms' magnitudes.

    Args:
        inputs: Features of shape ``(batch, channels, height, width)``, at least one.
        weights: A weight for each input; a row a sample, or one row for all.

    Example:
        >>> one = torch.ones(2, 1, 1, 1)
        >>> weighted_sum([one, one], torch.tensor([[1.0, 2.0], [0.0, 0.5]])).flatten()
        tensor([3.0000, 0.5000])

    Source:
        DDW, Eq. 3.
    """
    edges = [
        fanned_out(Signal(x), weights[:, place : place + 1], 1)[0]
        for place, x in enumerate(inputs)
    ]
    return gathered(edges, weights)


def fanned_out(
    signal: Signal, weights: Float[Tensor, "rows fan_out"], fan_out: int
) -> Sequence[Signal]:
    """Returns a node's output once for each of its edges, for ``gathered`` to sum.

    Args:
        signal: What the node emits.
        weights: The weight of each edge; a row a sample, or one row for all.
        fan_out: Number of edges.
    """
    x, scale, shift = signal
    learns = x.requires_grad or weights.requires_grad
    if not fan_out or not learns or not trains_fast(x):
        return [signal] * fan_out
    edges: Sequence[Tensor] = _FanOut.apply(x, scale, shift, weights)
    return [Signal(edge, scale, shift) for edge in edges]


def gathered(
    edges: Sequence[Signal],
    weights: Float[Tensor, "rows fan_in"],
    *,
    keep: Bool[Tensor, "batch fan_in"] | None = None,
) -> Features:
    """Sums what a node hears, scaled by its weights; the sum is a tensor of its own.

    Args:
        edges: What ``fanned_out`` gave for each edge, with the same weights.
        weights: The weight of each edge; a row a sample, or one row for all.
        keep: Which edges stay; all by default.
    """
    inputs = [edge.x for edge in edges]
    learns = torch.is_grad_enabled() and any(
        each.requires_grad for each in (weights, *inputs)
    )
    if uses_reference(inputs[0]) or (learns and not trains_fast(inputs[0])):
        columns = _columns(multipliers(weights, keep), inputs)
        total = inputs[0] * columns[0]
        for x, column in zip(inputs[1:], columns[1:], strict=True):
            total = torch.addcmul(total, x, column)
        return total
    if learns:
        scales = [(edge.scale, edge.shift) for edge in edges]
        summed: Tensor = _Gather.apply(weights.detach(), keep, scales, *inputs)
        return summed
    return _sum(edges, multipliers(weights, keep))


def multipliers(
    weights: Float[Tensor, "rows fan_in"], keep: Bool[Tensor, "batch fan_in"] | None
) -> Float[Tensor, "rows_or_batch fan_in"]:
    """Returns the weights of edges of which some may have been dropped."""
    return weights if keep is None else weights * keep


class _FanOut(torch.autograd.Function):
    """Hands a node's output on once for each edge.

    What ``_Gather`` hands back is the gradient of its sum, not yet scaled.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        weights: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.save_for_backward(x, scale, shift, weights)
        ctx.set_materialize_grads(False)
        return tuple(x.detach() for _ in range(weights.shape[1]))

    @staticmethod
    @first_order
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        x, scale, shift, weights = ctx.saved_tensors
        to_x, _, _, to_weights = ctx.needs_input_grad
        places = [place for place, grad in enumerate(grads) if grad is not None]
        came = [grad for grad in grads if grad is not None]
        grad_x = grad_weights = None
        row = weights if len(came) == len(grads) else weights[:, places]
        if came and to_x:
            grad_x = _sum([Signal(grad) for grad in came], row)
        if came and to_weights:
            dots = _dots(Signal(x, scale, shift), came)
            grad_weights = dots.sum_to_size(len(weights), len(came)).to(weights.dtype)
            if len(came) < len(grads):
                whole = torch.zeros_like(weights)
                whole[:, places] = grad_weights
                grad_weights = whole
        return grad_x, None, None, grad_weights


class _Gather(torch.autograd.Function):
    """Sums the edges that a node hears; the weights learn in ``_FanOut``."""

    @staticmethod
    def forward(
        ctx: Any,
        weights: Tensor,
        keep: Tensor | None,
        scales: Sequence[tuple[Tensor | None, Tensor | None]],
        *inputs: Tensor,
    ) -> Tensor:
        ctx.keep = keep
        edges = [Signal(x, *scale) for x, scale in zip(inputs, scales, strict=True)]
        return _sum(edges, multipliers(weights, keep))

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        needs = ctx.needs_input_grad[3:]
        if ctx.keep is None:
            return None, None, None, *(grad if needed else None for needed in needs)
        columns = _columns(ctx.keep, [grad])
        scaled = zip(needs, columns, strict=True)
        return None, None, None, *(grad * c if needed else None for needed, c in scaled)


def _sum(edges: Sequence[Signal], row: Tensor) -> Tensor:
    """Returns a weighted sum that is made in place: so the total stays in the cache."""
    inputs = [edge.x for edge in edges]
    if all(edge.scale is None for edge in edges):
        columns = _columns(row, inputs)
        total = inputs[0] * columns[0]
    else:
        scale, shift = _scales(edges)
        rows, fan_in = row.shape
        columns = (row.unsqueeze(2) * scale).view(rows, fan_in, -1, 1, 1).unbind(1)
        # Not as a product of matrices, which autocast and TF32 would round.
        total = (row.unsqueeze(2) * shift).sum(1).view(rows, -1, 1, 1)
        total = torch.addcmul(total, inputs[0], columns[0])
    for x, column in zip(inputs[1:], columns[1:], strict=True):
        total.addcmul_(x, column)
    return total


def _columns(row: Tensor, inputs: Sequence[Tensor]) -> Sequence[Tensor]:
    """Returns the weights of each edge in the shape and type of features."""
    dtype = inputs[0].dtype
    for x in inputs[1:]:
        dtype = torch.promote_types(dtype, x.dtype)
    return row.to(dtype).reshape(*row.shape, 1, 1, 1).unbind(1)


def _scales(edges: Sequence[Signal]) -> tuple[Tensor, Tensor]:
    """Returns scale and shift of each edge, of shape (edges, channels)."""
    like = next(edge.scale for edge in edges if edge.scale is not None)
    scales = [torch.ones_like(like) if e.scale is None else e.scale for e in edges]
    shifts = [torch.zeros_like(like) if e.shift is None else e.shift for e in edges]
    return torch.stack(scales), torch.stack(shifts)


def _dots(signal: Signal, grads: Sequence[Tensor]) -> Float[Tensor, "batch gradients"]:
    """Returns the inner products of features and gradients, sample by sample."""
    x = signal.x
    last = all(_is_last(each) for each in (x, *grads))
    order = (0, 2, 3, 1) if last else (0, 1, 2, 3)  # as they lie in memory
    same = all(x.dtype == grad.dtype for grad in grads)
    if not (x.is_cpu and same and x[0].numel() >= LONG):
        y = signal.made().permute(order).flatten(1)
        flat = [grad.permute(order).flatten(1) for grad in grads]
        dots = [torch.linalg.vecdot(y, grad) for grad in flat]
        return torch.stack(dots, dim=1)
    # A sample at a time: what is made of it stays in the cache, and its products with
    # a gradient are summed as they come and not written out first.
    rows = []
    flat = [grad.permute(order).flatten(1) for grad in grads]
    for sample, *others in zip(x, *flat, strict=True):
        y = Signal(sample[None], signal.scale, signal.shift).made()
        y = y.permute(order).flatten()
        rows += [torch.dot(y, grad) for grad in others]
    return torch.stack(rows).view(len(x), len(grads))


def _is_last(x: Tensor) -> bool:
    """Returns whether features lie in channels last, and not contiguously."""
    channels_last = x.is_contiguous(memory_format=torch.channels_last)
    return channels_last and not x.is_contiguous()


def drop_one_input(
    weights: Float[Tensor, "rows fan_in"], batch: int, rate: float
) -> Bool[Tensor, "batch fan_in"]:
    """Returns which inputs stay when a share of the samples loses an open one.

    The weights that stay are as they were: RandWire's DropPath removes an edge and
    rescales nothing. An input that is the only open one stays. That each sample and
    each node draws for itself is ours: RandWire removes one edge for a mini-batch.

    Args:
        weights: Weights of a node's inputs; a row a sample, or one row for all.
        batch: Number of samples.
        rate: Probability that a sample loses one of its inputs, in ``[0, 1]``.

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 4, regular regime.
    """
    fan_in = weights.shape[1]
    is_open = (weights != 0).expand(batch, -1)
    lots = torch.rand(batch, fan_in, device=weights.device)
    lost = lots.masked_fill(~is_open, -1).argmax(1, keepdim=True)
    loses = torch.rand(batch, 1, device=weights.device) < rate
    loses &= is_open.sum(1, keepdim=True) > 1
    return ~torch.zeros_like(is_open).scatter(1, lost, loses)
