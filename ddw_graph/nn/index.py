"""Indices that a plan determines, as tensors made where they are asked for."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor


class Index:
    """Whole numbers as a tensor on any device.

    Not a buffer: ``to_empty``, FSDP2's deferred initialisation and ``from_pretrained``
    leave anything in a buffer that no saved file holds.

    Args:
        numbers: The numbers.

    Example:
        >>> Index([2, 0, 1]).on(torch.device("cpu"))
        tensor([2, 0, 1])
    """

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = list(numbers)
        self.made: dict[torch.device, Tensor] = {}

    def on(self, device: torch.device) -> Int[Tensor, " numbers"]:
        """Returns the tensor, which is copied to a device once."""
        if traces():  # a constant of the trace
            return torch.tensor(self.numbers, device=device)
        if device not in self.made:
            # What is made in inference mode could not take part in training later.
            with torch.inference_mode(False):
                index = torch.tensor(self.numbers, device=device)
            if type(index) is not Tensor:
                return index  # a mode's own, such as FakeTensorMode's, ends with it
            self.made[device] = index
        return self.made[device]


def traces() -> bool:
    """Returns whether something records operations now, to run them on other values."""
    if torch.compiler.is_compiling():
        return True
    return bool(torch.jit.is_tracing())  # type: ignore[attr-defined,no-untyped-call]
