"""Whether somebody listens to a module, which then has to run as it is."""

from torch import nn


def is_heard(module: nn.Module) -> bool:
    """Returns whether a hook listens to a module."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )
