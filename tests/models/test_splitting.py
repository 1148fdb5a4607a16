"""Networks split: what is found in each family, and what each rule refuses."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models.backbones import NoData, library_model
from ddw_graph.models.splitting import split_backbone
from ddw_graph.nn.stage import Stage
from tests.models.test_backbones import spread

FULL = pytest.mark.full


class Block(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, in_channels: int, channels: int, stride: int = 1) -> None:
        super().__init__()
        self.one = nn.Conv2d(in_channels, channels, 3, stride, 1)
        self.two = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x).relu())
        return x + y if x.shape == y.shape else y


def unchanged(network: "Small", x: Tensor) -> Any:
    return x


class Small(nn.Module):
    """A network of four blocks in two stages, with steps of your own."""

    def __init__(
        self,
        start: Callable[["Small", Tensor], Any] = unchanged,
        step: Callable[["Small", Tensor], Any] = unchanged,
        ending: Callable[["Small", Tensor], Any] = unchanged,
        pool: bool = True,
    ) -> None:
        super().__init__()
        self.start, self.step, self.ending, self.pool = start, step, ending, pool
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.first = nn.Sequential(Block(4, 4), Block(4, 4))
        self.second = nn.Sequential(Block(4, 8, 2), Block(8, 8))
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Any:
        self.image = self.start(self, x)
        x = self.second(self.step(self, self.first(self.conv(self.image))))
        return self.ending(self, self.fc(x.mean((2, 3))) if self.pool else x)


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("resnet18", [2, 2, 2, 2]),
        ("torchvision/regnet_y_400mf", [1, 3, 6, 6]),
        ("mobilenet_v2", [1, 2, 3, 4, 3, 3, 1]),
        ("efficientnet_b0", [1, 2, 2, 3, 3, 4, 1]),
        pytest.param("resnext50_32x4d", [3, 4, 6, 3], marks=FULL),
        pytest.param("torchvision/convnext_tiny", [3, 3, 9, 3], marks=FULL),
        # In timm a first block of another class than the rest is part of the stem.
        ("timm/seresnet18", [2, 2, 2, 2]),
        ("timm/resnetv2_18", [2, 2, 2, 2]),
        ("timm/mobilenetv3_small_050", [2, 3, 2, 3]),
        ("timm/convnext_atto", [2, 2, 6, 2]),
        pytest.param("timm/resnet18", [2, 2, 2, 2], marks=FULL),
        pytest.param("timm/regnetx_002", [1, 1, 4, 7], marks=FULL),
        pytest.param("timm/mobilenetv2_100", [2, 3, 4, 3, 3, 1], marks=FULL),
        pytest.param("timm/efficientnet_b0", [2, 2, 3, 3, 4, 1], marks=FULL),
    ],
)
def test_stages_are_runs_of_blocks_of_one_width(name: str, blocks: list[int]) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    found = split_backbone(library_model(name, num_classes=5, in_channels=3))
    assert [len(stage.operations) for stage in found.stages] == blocks
    assert (found.in_channels, found.num_classes) == (3, 5)
    assert found.stages[0].entrance is None
    downsamples = "convnext" in name
    for before, after in zip(found.stages, found.stages[1:], strict=False):
        assert downsamples <= (after.entrance is not None)
        width = after.channels if downsamples else before.channels
        assert after.in_channels == width


@pytest.mark.parametrize("training", [False, True])
def test_the_parts_in_a_row_are_the_network_which_stays_as_it_was(
    training: bool,
) -> None:
    model = spread(models.get_model("mobilenet_v3_small", num_classes=5))
    model.train(training)
    model.get_submodule("features.3").eval()
    kept = copy.deepcopy(model)
    found = split_backbone(model)
    assert [m.training for m in model.modules()] == [m.training for m in kept.modules()]
    torch.testing.assert_close(model.state_dict(), kept.state_dict(), rtol=0, atol=0)
    x = y = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    outside = found.make([Stage(vgg(1), 1, 1)])
    torch.manual_seed(1)
    y = outside.stem(y)
    for stage in found.stages:
        y = y if stage.entrance is None else stage.entrance(y)
        for block in stage.operations:
            y = block(y)
    y = outside.head(y)
    torch.manual_seed(1)
    torch.testing.assert_close(y, kept(x), rtol=1e-12, atol=1e-12)
    own = {id(module) for module in model.modules()}
    assert all(id(block) in own for stage in found.stages for block in stage.operations)


def test_a_step_between_stages_is_the_entrance_of_the_later_one() -> None:
    model = Small(step=lambda network, x: functional.avg_pool2d(x, 2)).double().eval()
    found = split_backbone(model)
    assert [len(stage.operations) for stage in found.stages] == [2, 2]
    entrance = found.stages[1].entrance
    assert entrance is not None
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(entrance(x), functional.avg_pool2d(x, 2))


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        (
            "torchvision/alexnet",
            r"stages of blocks: .* features.3 \(Conv2d\) has 1 weight matrix",
        ),
        (
            "torchvision/densenet121",
            r"denselayer2 \(_DenseLayer\) maps \[.*\] to \(2, 32, .* not one tensor",
        ),
        ("timm/rexnet_100", r"features.1 .*\(2, 16, .* to \(2, 27, .*another shape"),
        pytest.param("timm/resnest14d", r"layer2 \(Sequential\) maps", marks=FULL),
        pytest.param("timm/tnt_s_patch16_224", r"blocks.1 .* not one", marks=FULL),
        pytest.param("timm/dla34", "level3 maps .*another shape", marks=FULL),
        pytest.param("timm/pnasnet5large", "cell_3 takes what cell_1", marks=FULL),
        pytest.param("torchvision/vgg16_bn", "has 1 weight matrix", marks=FULL),
    ],
)
def test_a_network_without_blocks_is_told_what_comes_nearest(
    name: str, cause: str
) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with NoData():
        _refused(library_model(name, num_classes=5, in_channels=3), cause)


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        ([Block(3, 3), nn.Identity(), Block(3, 3)], r"\.1 \(Identity\) runs between"),
        ([Block(3, 4), Block(4, 8)], r"1 \(Block\) maps .* to \(2, 8, "),
        ([Block(3, 3)] * 2, r"0 \(Block\) runs 2 times"),
        ([Block(3, 3)], r"0.0 \(Block\) has no sibling"),
    ],
)
def test_the_rule_that_siblings_break_is_named(
    body: list[nn.Module], cause: str
) -> None:
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    _refused(nn.Sequential(nn.Sequential(*body), *end), cause)


@pytest.mark.parametrize(
    ("name", "blocks", "axes"),
    [
        ("torchvision/vit_b_16", [12], {-1}),
        pytest.param("torchvision/swin_t", [2, 2, 6, 2], {-1}, marks=FULL),
        ("timm/mixer_s32_224", [8], {-1}),
        ("timm/resmlp_12_224", [12], {-1}),
        pytest.param("timm/gmlp_ti16_224", [30], {-1}, marks=FULL),
        pytest.param("timm/beit_base_patch16_224", [12], {-1}, marks=FULL),
        ("timm/tiny_vit_5m_224", [2, 2, 6, 2], {1, -1}),
        # Features of 64 pixels and inner widths of 64.
        pytest.param("timm/botnet26t_256", [2, 2, 2, 2], {1}, marks=FULL),
    ],
)
def test_a_block_keeps_the_shape_of_any_features(
    name: str, blocks: list[int], axes: set[int]
) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with NoData():
        model = library_model(name, num_classes=5, in_channels=3)
    found = split_backbone(model)
    assert [len(stage.operations) for stage in found.stages] == blocks
    assert {stage.channel_axis for stage in found.stages} == axes
    assert found.runs == []


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        # Other steps in training, branches that meet, arguments beside the features.
        ("torchvision/inception_v3", [2, 4, 2]),
        ("timm/hrnet_w18_small", [2] * 9),
        ("timm/xcit_nano_12_p16_224", [12, 2]),
        pytest.param("timm/eva02_tiny_patch14_224", [12], marks=FULL),
        pytest.param("timm/pvt_v2_b0", [2, 2, 2, 2], marks=FULL),
    ],
)
@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_what_is_no_chain_runs_its_stages_itself(name: str, blocks: list[int]) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with NoData():
        model = library_model(name, num_classes=5, in_channels=3)
    found = split_backbone(model)
    assert [len(run.paths) for run in found.runs] == blocks
    assert [stage.run for stage in found.stages] == found.runs


def choosing(network: Small, x: Tensor) -> Tensor:
    """Takes steps that depend on the size of the image."""
    return x + 0 * network.conv(x[:, :, :230]).mean() if x.shape[2] > 230 else x


def silent(network: Small, x: Tensor) -> Tensor:
    if not isinstance(x, Tensor):
        raise TypeError
    return x


def growing() -> Small:
    network = Small()
    network.second[0].one = nn.ConvTranspose2d(4, 8, 2, 2)
    return network


@pytest.mark.parametrize(
    ("model", "rule"),
    [
        (nn.Linear(3, 4), "needs 2-D convolutions for its images"),
        (nn.Conv2d(3, 4, 3), r"returns logits \(batch, classes\), got a Conv2d"),
        (
            Small(ending=lambda net, x: (x, x)),
            r"logits \(batch, classes\), got a Small",
        ),
        (Small(pool=False), r"returns logits \(batch, classes\), got a Small"),
        (
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
            "stages of blocks",
        ),
    ],
)
def test_each_rule_is_told_in_one_line(model: nn.Module, rule: str) -> None:
    _refused(model, rule)


@pytest.mark.parametrize(
    "model",
    [
        Small(step=lambda net, x: x + net.conv(net.image)),
        Small(silent),
        Small(choosing),
    ],
)
def test_what_cannot_be_traced_runs_its_stages_itself(model: Small) -> None:
    assert [run.paths for run in split_backbone(model).runs] == [
        ["first.0", "first.1"],
        ["second.0", "second.1"],
    ]


def test_a_block_that_enlarges_images_is_in_no_stage() -> None:
    found = split_backbone(growing())
    assert [len(stage.operations) for stage in found.stages] == [2, 1]
    assert found.stages[1].entrance is not None


def _refused(model: nn.Module, rule: str) -> None:
    modes = [module.training for module in model.modules()]
    with pytest.raises(ModelError, match=rule) as refusal:
        split_backbone(model)
    assert len(str(refusal.value).splitlines()) == 1
    assert [module.training for module in model.modules()] == modes
