"""What users hang on a module: hooks, and a forward of its own."""

from torch import nn


def is_heard(module: nn.Module) -> bool:
    """Returns whether a hook listens to a module."""
    return bool(
        module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


def is_altered(module: nn.Module) -> bool:
    """Returns whether a module may compute something else than its class does.

    It has forward hooks, or a ``forward`` that was put in place of its class's.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks) or "forward" in vars(module)
