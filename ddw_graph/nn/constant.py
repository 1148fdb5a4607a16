"""Numbers that a plan determines, as tensors made where they are asked for."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Constant:
    """Numbers as a tensor on any device.

    Not a buffer: ``to_empty``, FSDP2's deferred initialisation and ``from_pretrained``
    leave anything in a buffer that no saved file holds.

    Args:
        numbers: What ``torch.tensor`` takes: integers, floats, or tuples of such.

    Example:
        >>> Constant([2, 0, 1]).on(torch.device("cpu"))
        tensor([2, 0, 1])
    """

    def __init__(self, numbers: Sequence[Any]) -> None:
        self.numbers = list(numbers)
        self.made: dict[tuple[torch.device, torch.dtype | None], Tensor] = {}

    def on(self, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """Returns the tensor, which is copied to a device once for each type."""
        if traces():  # a constant of the trace
            return torch.tensor(self.numbers, device=device, dtype=dtype)
        key = device, dtype
        if key not in self.made:
            # What is made in inference mode could not take part in training later.
            with torch.inference_mode(False):
                made = torch.tensor(self.numbers, device=device, dtype=dtype)
            if type(made) is not Tensor:
                return made  # a mode's own, such as FakeTensorMode's, ends with it
            self.made[key] = made
        return self.made[key]


def traces() -> bool:
    """Returns whether something records or transforms operations now.

    What is recorded runs on other values later, and what ``torch.func`` transforms has
    no values to ask for.
    """
    if torch.compiler.is_compiling():
        return True
    tracing = torch.jit.is_tracing()  # type: ignore[attr-defined,no-untyped-call]
    return bool(tracing or torch._C._are_functorch_transforms_active())
