"""Computing features again for the backward pass, in place of keeping them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ddw_graph.nn.constant import traces

NORMS = nn.modules.batchnorm._NormBase
"""Layers with running statistics."""


def recomputed(
    module: nn.Module, compute: Callable[[], Tensor], wanted: bool
) -> Tensor:
    """Runs a computation, under activation checkpointing where that is wanted.

    Args:
        module: What it runs; the first run alone updates its running statistics.
    """
    if not wanted or not torch.is_grad_enabled() or traces():
        return compute()
    again = False

    def run() -> Tensor:
        nonlocal again
        with frozen_running_stats(module) if again else nullcontext():
            again = True
            return compute()

    y: Tensor = checkpoint(run, use_reentrant=False)
    return y


@contextmanager
def frozen_running_stats(module: nn.Module) -> Iterator[None]:
    """Keeps the running statistics of a module's normalisations.

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
