"""Whether the tensors of a network hold numbers."""

from collections.abc import Mapping

from torch import Tensor


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Returns the name of the first tensor with a NaN or an infinity, if one has.

    Example:
        >>> import torch
        >>> first_not_finite({"a": torch.ones(2), "b": torch.tensor([0, torch.nan])})
        'b'
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            return name
    return None
