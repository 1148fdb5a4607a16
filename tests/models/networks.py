"""Networks for tests of models, and what it takes for two to be the same."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models.efficientnet import EfficientNet, MBConvConfig
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.regnet import BlockParams, RegNet
from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet

FULL = pytest.mark.full

Make = Callable[[], nn.Module]


def regnet(se_ratio: float | None) -> nn.Module:
    """Returns a small RegNet."""
    shape: dict[str, Any] = {"depth": 5, "w_0": 24, "w_a": 24.0, "w_m": 2.0}
    params = BlockParams.from_init_params(**shape, group_width=8, se_ratio=se_ratio)
    model: nn.Module = RegNet(params, num_classes=5)
    return model


def mobilenet_v2() -> nn.Module:
    """Returns a small MobileNetV2."""
    stages = [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 48, 2, 1]]
    model: nn.Module = MobileNetV2(
        num_classes=5, width_mult=0.25, inverted_residual_setting=stages
    )
    return model


def efficientnet() -> nn.Module:
    """Returns a small EfficientNet."""
    stages = [(1, 1, 16, 8, 1), (4, 2, 8, 16, 3), (4, 1, 16, 24, 2)]
    settings = [MBConvConfig(e, 3, s, i, o, n) for e, s, i, o, n in stages]
    model: nn.Module = EfficientNet(
        settings, dropout=0.2, stochastic_depth_prob=0.3, num_classes=5
    )
    return model


def resnet(classes: int = 5, blocks: tuple[int, ...] = (2, 2, 1, 1)) -> nn.Module:
    """Returns a small ResNet."""
    model: nn.Module = ResNet(BasicBlock, [*blocks], num_classes=classes)
    return model


PAPER: dict[str, Make] = {
    "ResNet": resnet,
    "ResNet, bottlenecks": lambda: ResNet(
        Bottleneck, [2, 1, 2, 1], num_classes=5, width_per_group=16
    ),
    "ResNeXt": lambda: ResNet(
        Bottleneck, [1, 2, 1, 2], num_classes=5, groups=8, width_per_group=2
    ),
    "RegNet X": lambda: regnet(None),
    "RegNet Y": lambda: regnet(0.25),
    "MobileNetV2": mobilenet_v2,
    "EfficientNet": efficientnet,
}
"""Each family of torchvision's that the paper takes, small."""

NARROW: dict[str, Any] = {"channels": (16, 32, 64, 96)}
CONVNEXT: dict[str, Any] = {"dims": (16, 32, 64, 96), "depths": (2, 2, 3, 2)}
VIT: dict[str, Any] = {"img_size": 32, "patch_size": 8, "embed_dim": 32}
VIT |= {"depth": 3, "num_heads": 2}
SWIN: dict[str, Any] = {"img_size": 32, "window_size": 4, "embed_dim": 16}
SWIN |= {"depths": (2, 2), "num_heads": (2, 2)}
TIMM: dict[str, dict[str, Any]] = {
    **dict.fromkeys(("resnet18", "seresnet18", "resnetv2_18"), NARROW),
    **dict.fromkeys(("regnetx_002", "mobilenetv2_100", "efficientnet_b0"), {}),
    "mobilenetv3_small_050": {},
    "convnext_atto": CONVNEXT,
    "vit_tiny_patch16_224": VIT,
    "deit_tiny_distilled_patch16_224": VIT,
    "deit3_small_patch16_224": VIT,
    "beit_base_patch16_224": VIT,
    "eva02_tiny_patch14_224": VIT,
    "cait_xxs24_224": VIT | {"depth_token_only": 1},
    "xcit_nano_12_p16_224": VIT | {"depth": 2},
    "swin_tiny_patch4_window7_224": SWIN,
    "mambaout_femto": {"depths": (2, 2), "dims": (16, 32)},
}
"""Networks of timm, with the settings that make them small."""

MIXERS: dict[str, dict[str, str]] = {
    "mixer": {},
    "resmlp": {"block_layer": "ResBlock", "norm_layer": "Affine"},
    "gmlp": {"block_layer": "SpatialGatingBlock", "mlp_layer": "GatedMlp"},
}
"""The variants of timm's Mixer: classes of its module."""


def original(family: str) -> nn.Module:
    """Returns a small network of a family in float64; see ``spread``."""
    if family in PAPER:
        return spread(PAPER[family]())
    timm = pytest.importorskip("timm")
    if family in TIMM:
        return spread(timm.create_model(family, num_classes=5, **TIMM[family]))
    module = timm.models.mlp_mixer
    layers = {key: getattr(module, value) for key, value in MIXERS[family].items()}
    size = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "num_blocks": 3}
    ratio: dict[str, Any] = {"mlp_ratio": 4.0} if layers else {}
    return spread(module.MlpMixer(num_classes=5, **size, **layers, **ratio))


def spread(model: nn.Module, seed: int = 0) -> nn.Module:
    """Returns the network in float64 with no scale, shift or statistic left trivial."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double()
    for name, parameter in model.named_parameters():
        if parameter.numel() > max(parameter.shape, default=1):
            continue  # a matrix or a kernel, drawn already
        if name.endswith("bias"):
            parameter.data.normal_(std=0.2, generator=generator)
        else:
            parameter.data.uniform_(0.5, 1.5, generator=generator)
    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(std=0.2, generator=generator)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2, generator=generator)
    return model


def pixels(channels: int = 3, size: int = 48, batch: int = 2) -> Tensor:
    """Returns images of noise in float64."""
    generator = torch.Generator().manual_seed(1)
    shape = batch, channels, size, size
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def images_of(family: str) -> Tensor:
    """Returns images of a size that a family's network takes."""
    size = 32 if family in MIXERS else TIMM.get(family, {}).get("img_size", 48)
    return pixels(size=size)


def assert_same(old: nn.Module, new: nn.Module, x: Tensor | None = None) -> None:
    """Asserts that two networks return the same and learn the same, to 1e-9.

    Logits, and the gradients of the images and of every parameter, first in evaluation
    and then in training, and what training left in the statistics. A parameter of
    ``new`` belongs to that of ``old`` which holds the same numbers; where it has copies
    their gradients add up. Dropout of any kind draws from the same seed.
    """
    x = pixels() if x is None else x
    names = {_content(p): name for name, p in old.named_parameters()}
    assert len(names) == len([*old.parameters()]), "two parameters hold the same"
    belongs = {name: names.get(_content(p)) for name, p in new.named_parameters()}
    assert {*names.values()} <= {*belongs.values()}, "a parameter is missing"
    for training in (False, True):
        wanted, logits = _gradients(old, x, training)
        found, answers = _gradients(new, x, training)
        _close(answers, logits, 0)
        largest = max(float(gradient.abs().max()) for gradient in wanted.values())
        for name, gradient in wanted.items():
            copies = [g for n, g in found.items() if belongs.get(n, n) == name]
            # A shift before a normalisation has no gradient but that of rounding.
            _close(torch.stack(copies).sum(0), gradient, 1e-6 * largest)
    with torch.no_grad():
        _close(new.eval()(x), old.eval()(x), 0)


def _content(tensor: Tensor) -> tuple[tuple[int, ...], bytes]:
    return tuple(tensor.shape), tensor.detach().numpy().tobytes()


def _gradients(
    model: nn.Module, x: Tensor, training: bool
) -> tuple[dict[str, Tensor], Tensor]:
    """Returns the gradients by name, that of the images among them, and the logits."""
    model.train(training).zero_grad()
    images = x.clone().requires_grad_()
    torch.manual_seed(0)
    logits = model(images)
    grad = torch.linspace(-1, 1, logits.numel(), dtype=x.dtype).view_as(logits)
    logits.backward(grad)
    named = [("images", images), *model.named_parameters()]
    return {n: p.grad for n, p in named if p.grad is not None}, logits.detach()


def _close(found: Tensor, wanted: Tensor, least: float) -> None:
    largest = max(float(wanted.abs().max()), least)
    assert float((found - wanted).abs().max()) <= 1e-9 * largest


def blocks(network: Any) -> list[int]:
    """Returns n of each stage."""
    return [stage.plan.nodes - 2 for stage in network.stages]


def moved(network: Any) -> Any:
    """Returns the network with edge weights away from their start, so that all act."""
    for stage in network.stages:
        for parameter in stage.weights.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network
