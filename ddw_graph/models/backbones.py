"""The paper's backbones, and any other of torchvision or timm, unchanged."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from ddw_graph.errors import ModelError


def _torchvision(name: str, num_classes: int) -> nn.Module:
    from torchvision import models  # slow to import

    if name not in models.list_models(module=models):
        known = "see torchvision.models.list_models(module=torchvision.models)"
        raise ModelError(f"torchvision has no network {name!r}; {known}")
    model: nn.Module = models.get_model(name, num_classes=num_classes)
    return model


def _regnet(
    num_classes: int, *, se_ratio: float | None = None, **shape: Any
) -> nn.Module:
    from torchvision.models import regnet  # slow to import

    params = regnet.BlockParams.from_init_params(se_ratio=se_ratio, **shape)
    # The defaults of torchvision's own builders.
    norm = partial(nn.BatchNorm2d, eps=1e-05, momentum=0.1)
    model: nn.Module = regnet.RegNet(params, num_classes=num_classes, norm_layer=norm)
    return model


BACKBONES: dict[str, Callable[[int], nn.Module]] = {
    **{
        name: partial(_torchvision, name)
        for name in (
            *("mobilenet_v2", "resnet18", "resnet50", "resnet101", "resnext50_32x4d"),
            *("regnet_x_1_6gf", "efficientnet_b0"),
        )
    },
    "regnet_x_600mf": partial(
        _regnet, depth=16, w_0=48, w_a=36.97, w_m=2.24, group_width=24
    ),
    "regnet_y_600mf": partial(
        _regnet, depth=15, w_0=48, w_a=32.54, w_m=2.32, group_width=16, se_ratio=0.25
    ),
}
"""Table 1's eight networks, and Table 5's RegNet-Y 600MF, each from its number of
classes. The 600MF ones, which torchvision lacks, by their published parameters:
Radosavovic et al. 2020, arXiv:2003.13678, Tables 3 and 4."""

LIBRARIES = ("torchvision", "timm")


def is_backbone(name: str) -> bool:
    """Returns whether a name is that of a backbone, such as ``timm/resnet18``."""
    return name in BACKBONES or name.partition("/")[0] in LIBRARIES


def names_in_libraries(name: str) -> list[str]:
    """Returns the names by which the libraries have a network of some bare name.

    Example:
        >>> names_in_libraries("resnet34")[0], names_in_libraries("resnet9")
        ('torchvision/resnet34', [])
    """
    from torchvision import models  # slow to import

    known = {"torchvision": name in models.list_models(module=models), "timm": False}
    if find_spec("timm"):
        import timm  # slow to import

        known["timm"] = timm.is_model(name)
    return [f"{library}/{name}" for library, has in known.items() if has]


def library_model(name: str, *, num_classes: int, in_channels: int) -> nn.Module:
    """Returns a backbone as its library makes it, with new weights.

    Args:
        name: One of ``BACKBONES``, ``torchvision/NAME`` or ``timm/NAME``.
        in_channels: Channels of an image; where the library offers only three, the
            first convolution is replaced.
    """
    library, _, own_name = name.partition("/")
    if name in BACKBONES:
        model = BACKBONES[name](num_classes)
    # timm would look elsewhere for a name with a colon or a slash.
    elif library not in LIBRARIES or not re.fullmatch(r"[\w.]+", own_name):
        raise ModelError(
            "a backbone is torchvision/NAME, timm/NAME or one of "
            f"{', '.join(BACKBONES)}, got {name!r}"
        )
    elif library == "timm":
        return _timm(own_name, num_classes, in_channels)
    else:
        model = _torchvision(own_name, num_classes)
    path, conv = next(
        (path, m) for path, m in model.named_modules() if isinstance(m, nn.Conv2d)
    )
    if conv.in_channels != in_channels:
        names = "out_channels", "kernel_size", "stride", "padding"
        sizes: dict[str, Any] = {name: getattr(conv, name) for name in names}
        new = nn.Conv2d(in_channels, bias=conv.bias is not None, **sizes)
        # As torchvision initialises the convolutions of all these families.
        nn.init.kaiming_normal_(new.weight, mode="fan_out", nonlinearity="relu")
        model.set_submodule(path, new)
    return model


def _timm(name: str, num_classes: int, in_channels: int) -> nn.Module:
    try:
        import timm  # slow to import, and optional
    except ImportError as error:
        raise ModelError(
            f"timm/{name} needs timm, which is not installed: pip install timm"
        ) from error
    if not timm.is_model(name):
        raise ModelError(f"timm has no network {name!r}; see timm.list_models()")
    model: nn.Module = timm.create_model(
        name, num_classes=num_classes, in_chans=in_channels
    )
    return model


class NoData(TorchFunctionMode):
    """Modules made within have no data in their weights.

    ``torch.device("meta")`` would also withhold the data that a constructor computes
    with, such as the widths of torchvision's RegNet.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Calls a function of torch; ``empty`` returns a tensor without data."""
        meta = {"device": "meta"} if func is torch.empty else {}
        return func(*args, **(kwargs or {}) | meta)


def is_altered(module: nn.Module) -> bool:
    """Returns whether a module may compute something else than its class does.

    It has forward hooks, or a ``forward`` that was put in place of its class's.
    """
    hooks = module._forward_hooks or module._forward_pre_hooks
    return bool(hooks) or "forward" in vars(module)


def name_of(model: nn.Module, *, num_classes: int, in_channels: int) -> str | None:
    """Returns the name by which ``library_model`` makes a network of this structure.

    None where there is none: for a network of another library, one with settings that
    no name stands for, or with hooks.
    """
    if any(map(is_altered, model.modules())):
        return None
    wanted = _structure(model)
    sizes = {"num_classes": num_classes, "in_channels": in_channels}
    for name in _candidates(model):
        try:
            with NoData():
                made = library_model(name, **sizes)
        except RuntimeError:  # its constructor computes with its weights
            made = library_model(name, **sizes)
        if _structure(made) == wanted:
            return name
    return None


def _candidates(model: nn.Module) -> Iterator[str]:
    library, _, _ = type(model).__module__.partition(".")
    if library == "timm":
        known: Any = getattr(model, "pretrained_cfg", {})
        if known.get("architecture"):
            yield f"timm/{known['architecture']}"
    elif library == "torchvision":
        from torchvision import models  # slow to import

        yield from BACKBONES
        for name in models.list_models(module=models):
            builder = models.get_model_builder(name)
            same_family = builder.__module__ == type(model).__module__
            if same_family and name not in BACKBONES:
                yield f"torchvision/{name}"


def _structure(model: nn.Module) -> tuple[Any, ...]:
    """Returns what a network's name stands for: every layer's settings and shapes."""
    # Not every repr shows its module's settings: timm's networks keep a dropout rate.
    settings = [
        {
            key: value
            for key, value in vars(module).items()
            if isinstance(value, bool | int | float | str) and key != "training"
        }
        for module in model.modules()
    ]
    shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
    return repr(model), shapes, settings
