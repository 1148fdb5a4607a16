"""Freezing the batch normalisation of a detector's backbone."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torchvision.ops import FrozenBatchNorm2d

from ddw_graph.errors import ModelError


def freeze_norms(module: nn.Module) -> None:
    """Replaces batch normalisation by its frozen form, with the same statistics.

    Each ``BatchNorm2d`` becomes torchvision's ``FrozenBatchNorm2d``, which computes
    what the other does in evaluation and has no parameters; timm's, which applies the
    activation too, becomes timm's own frozen form.

    Example:
        >>> layers = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
        >>> freeze_norms(layers)
        >>> [name for name, _ in layers.named_parameters()]
        ['0.weight', '0.bias']
    """
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            setattr(module, name, _frozen(child))
        else:
            freeze_norms(child)


def _frozen(norm: _BatchNorm) -> nn.Module:
    if norm.running_mean is None or norm.running_var is None:
        raise ModelError("normalisation that keeps no statistics cannot be frozen")
    if type(norm).__module__.startswith("timm."):
        # An extra, slow to import.
        from timm.layers.norm_act import freeze_batch_norm_2d

        kept: nn.Module = freeze_batch_norm_2d(norm)  # type: ignore[no-untyped-call]
        return kept
    # Another subclass may do more than normalise, which would be lost.
    if type(norm) not in (nn.BatchNorm2d, nn.SyncBatchNorm):
        raise ModelError(
            "BatchNorm2d, SyncBatchNorm and timm's can be frozen, got "
            f"{type(norm).__name__}"
        )
    frozen: nn.Module = FrozenBatchNorm2d(norm.num_features, eps=norm.eps)
    frozen.to(norm.running_mean)  # device and type
    frozen.load_state_dict(norm.state_dict(), strict=norm.affine)
    return frozen
