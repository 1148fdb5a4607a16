"""The normalisation that an operation ends in, left for the next sum to make.

Batch normalisation is ``scale * x + shift`` in each channel once its statistics are
known, and a node's output is multiplied in any case where it is summed. So in training
it is not written out: a pass over the features is saved, and the memory to keep them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.nn.aggregation import (
    Signal,
    first_order,
    trains_fast,
    uses_reference,
)
from ddw_graph.nn.hooks import is_heard


def signal_of(operation: nn.Module, x: Tensor) -> Signal:
    """Returns what an operation makes of features.

    Where it is a sequence that ends in ``nn.BatchNorm2d``, in float32 or float64, that
    is left to be made; with gradients alone, since without them nothing is kept and it
    takes longer. Modules that somebody listens to by hooks run as they are.
    """
    leaves = torch.is_grad_enabled() and not uses_reference(x)
    steps = _steps(operation) if leaves else None
    if steps is None:
        return Signal(operation(x))
    *others, norm = steps
    for step in others:
        x = step(x)
    assert isinstance(norm, nn.BatchNorm2d)
    if not _can_wait(norm, x):
        return Signal(norm(x))
    return _waiting(norm, x)


NORMS = nn.modules.batchnorm._NormBase
"""Layers with running statistics."""


@contextmanager
def still(module: nn.Module) -> Iterator[None]:
    """Keeps the running statistics of a module's normalisations as they are.

    For features that are computed once more: they have been counted already.
    """
    norms = [m for m in module.modules() if m.training and isinstance(m, NORMS)]
    buffers = [buffer for norm in norms for buffer in norm.buffers(recurse=False)]
    before = [buffer.clone() for buffer in buffers]
    try:
        yield
    finally:
        for buffer, kept in zip(buffers, before, strict=True):
            buffer.copy_(kept)


def _steps(operation: nn.Module) -> list[nn.Module] | None:
    """Returns the modules of a sequence whose last is a BN; None for anything else."""
    if is_heard(operation):
        return None
    if type(operation) is nn.BatchNorm2d:
        return [operation]
    forward = getattr(type(operation), "forward", None)
    if not isinstance(operation, nn.Sequential) or forward is not nn.Sequential.forward:
        return None
    children = list(operation)
    last = _steps(children[-1]) if children else None
    return None if last is None else [*children[:-1], *last]


def _can_wait(norm: nn.BatchNorm2d, x: Tensor) -> bool:
    """Returns whether a BN can be left to the sum without a change to rounding."""
    known = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
    if any(each is None or each.dtype != x.dtype for each in known):
        return False
    if norm.momentum is None or x.ndim != 4 or x.shape[1] != norm.num_features:
        return False
    # torch has the statistics by themselves on CPU and CUDA, and not everywhere else.
    if not (x.is_cpu or x.is_cuda):
        return False
    # Half precision would round the shifts; BN itself refuses a single value.
    enough = not norm.training or x.numel() > x.shape[1]
    return enough and trains_fast(x) and x.dtype in (torch.float32, torch.float64)


def _waiting(norm: nn.BatchNorm2d, x: Tensor) -> Signal:
    """Returns a BN's output as a signal, with the BN's own bookkeeping."""
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None and var is not None
    with torch.no_grad():
        if norm.training:
            if norm.num_batches_tracked is not None:
                norm.num_batches_tracked.add_(1)
            assert norm.momentum is not None
            mean, var = torch.batch_norm_update_stats(x, mean, var, norm.momentum)
        inverse = torch.rsqrt(var + norm.eps)
    return Signal(*_Waiting.apply(x, norm.weight, norm.bias, mean, inverse, norm))


class _Waiting(torch.autograd.Function):
    """Normalises without writing it out; the gradient comes for what is not there."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        mean: Tensor,
        inverse: Tensor,
        norm: nn.BatchNorm2d,
    ) -> tuple[Tensor, Tensor, Tensor]:
        scale = weight * inverse
        shift = torch.addcmul(bias, mean, scale, value=-1)
        ctx.training, ctx.eps = norm.training, norm.eps
        variance = None if norm.training else norm.running_var
        ctx.save_for_backward(x, weight, mean, inverse, variance)
        ctx.mark_non_differentiable(scale, shift)
        ctx.set_materialize_grads(False)
        return x.detach(), scale, shift

    @staticmethod
    @first_order
    def backward(ctx: Any, grad: Tensor | None, *_: Any) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 6
        x, weight, mean, inverse, variance = ctx.saved_tensors
        gradients = torch.ops.aten.native_batch_norm_backward(
            grad,
            x,
            weight,
            None if ctx.training else mean,
            variance,
            mean,
            inverse,
            ctx.training,
            ctx.eps,
            ctx.needs_input_grad[:3],
        )
        return *gradients, None, None, None
