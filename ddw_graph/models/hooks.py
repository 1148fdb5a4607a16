"""What users hang on a module: hooks, and a forward of its own."""

from torch import nn


def is_altered(module: nn.Module) -> bool:
    """Returns whether a module may compute something else than its class does.

    It has forward hooks, or a ``forward`` that was put in place of its class's.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks) or "forward" in vars(module)
