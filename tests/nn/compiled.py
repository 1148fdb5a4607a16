"""What tests of compiled kernels need of the machine, and what stands in for them."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch import Tensor

from ddw_graph.errors import ModelError
from ddw_graph.nn import kernels
from ddw_graph.nn.aggregation import Signal
from ddw_graph.nn.gates import gated


def need_kernels() -> None:
    """Skips a test where kernels cannot be built."""
    try:
        kernels.load()
    except ModelError as error:
        pytest.skip(f"kernels cannot be built here: {error}")


class InPython:
    """What the kernels compute, as plain operations."""

    @staticmethod
    def weighted_sum(
        inputs: list[Tensor],
        row: Tensor,
        scales: list[Tensor | None],
        shifts: list[Tensor | None],
    ) -> Tensor:
        """Sums features, each scaled and shifted where that is given."""
        if scales:
            given = zip(inputs, scales, shifts, strict=True)
            inputs = [Signal(*signal).made() for signal in given]
        total = torch.zeros_like(inputs[0])
        for x, column in zip(inputs, row.unbind(1), strict=True):
            total += x * column[:, None, None, None]
        return total

    @staticmethod
    def fanned_back(
        x: Tensor,
        scale: Tensor | None,
        shift: Tensor | None,
        grads: list[Tensor],
        row: Tensor,
        sums: bool,
    ) -> tuple[Tensor, Tensor]:
        """Sums gradients, and multiplies the features with each."""
        y = Signal(x, scale, shift).made()
        dots = torch.stack([(y * grad).sum((1, 2, 3)) for grad in grads], dim=1)
        return InPython.weighted_sum(grads, row, [], []) if sums else x, dots

    @staticmethod
    def routed(
        x: Tensor, weight: Tensor, bias: Tensor, tau: Tensor | None, psi: bool
    ) -> tuple[Tensor, Tensor, bool]:
        """Weighs the edges of a router at inference."""
        alpha = torch.nn.functional.linear(x.mean((2, 3)), weight, bias).sigmoid()
        if tau is None:
            return alpha, torch.ones_like(alpha, dtype=torch.bool), True
        gate = "psi" if psi else "eq5"
        weights, is_open = gated(gate, alpha, tau, training=False)
        assert is_open is not None
        return weights, is_open, bool(is_open.all())


@contextmanager
def in_python() -> Iterator[None]:
    """Lets kernels be plain operations for a while, which nobody has to build."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "load", lambda: None)
        patch.setattr(torch.ops, "ddw_graph", InPython)
        yield
