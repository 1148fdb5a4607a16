"""Computing features again for the backward pass, in place of keeping them."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from torch import nn
from torch.utils.checkpoint import checkpoint

NORMS = nn.modules.batchnorm._NormBase
"""Layers with running statistics."""


def recomputed(module: nn.Module, run: Callable[..., Any], *given: Any) -> Any:
    """Returns what a method of a module does, keeping only what it is given."""
    return checkpoint(
        run,
        *given,
        use_reentrant=False,
        context_fn=lambda: (nullcontext(), frozen_running_stats(module)),
    )


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
