"""Networks split: what is found in each family, and what each rule refuses."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ddw_graph import create_model, rewire
from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, residual, vgg
from ddw_graph.models.backbones import NoData, library_model
from ddw_graph.models.parts import Parts, parts_of_network, with_nodes
from ddw_graph.models.splitting import split_backbone
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import edge_list
from tests.models.networks import FULL, assert_same, spread


class Block(nn.Module):
    """Two convolutions and a shortcut: it passes, projects, or there is none."""

    def __init__(
        self, in_channels: int, channels: int, stride: int = 1, shortcut: str = "passes"
    ) -> None:
        super().__init__()
        self.one = nn.Conv2d(in_channels, channels, 3, stride, 1)
        self.two = nn.Conv2d(channels, channels, 3, 1, 1)
        self.passes = shortcut == "passes" and in_channels == channels and stride == 1
        self.shortcut = nn.Conv2d(in_channels, channels, 1)
        self.projects = shortcut == "projects"

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x).relu())
        shortcut: Tensor = self.shortcut(x) if self.projects else x
        return shortcut + y if self.projects or self.passes else y


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


def split(name: str, node: str = "block") -> Parts:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with NoData():
        model = library_model(name, num_classes=5, in_channels=3)
    return split_backbone(model, node)


@pytest.mark.parametrize(
    ("name", "blocks", "axes"),
    [
        ("resnet18", [2, 2, 2, 2], {1}),
        ("torchvision/regnet_y_400mf", [1, 3, 6, 6], {1}),
        ("mobilenet_v2", [1, 2, 3, 4, 3, 3, 1], {1}),
        ("efficientnet_b0", [1, 2, 2, 3, 3, 4, 1], {1}),
        pytest.param("resnext50_32x4d", [3, 4, 6, 3], {1}, marks=FULL),
        pytest.param("torchvision/convnext_tiny", [3, 3, 9, 3], {1}, marks=FULL),
        # In timm a first block of another class than the rest is part of the stem.
        ("timm/seresnet18", [2, 2, 2, 2], {1}),
        ("timm/resnetv2_18", [2, 2, 2, 2], {1}),
        ("timm/mobilenetv3_small_050", [2, 3, 2, 3], {1}),
        ("timm/convnext_atto", [2, 2, 6, 2], {1}),
        pytest.param("timm/mobilenetv2_100", [2, 3, 4, 3, 3, 1], {1}, marks=FULL),
        pytest.param("timm/efficientnet_b0", [2, 2, 3, 3, 4, 1], {1}, marks=FULL),
        ("torchvision/vit_b_16", [12], {-1}),
        pytest.param("torchvision/swin_t", [2, 2, 6, 2], {-1}, marks=FULL),
        ("timm/mixer_s32_224", [8], {-1}),
        ("timm/resmlp_12_224", [12], {-1}),
        ("timm/tiny_vit_5m_224", [2, 2, 6, 2], {1, -1}),
        # Features of 64 pixels and inner widths of 64.
        pytest.param("timm/botnet26t_256", [2, 2, 2, 2], {1}, marks=FULL),
    ],
)
def test_stages_are_runs_of_blocks_of_one_shape(
    name: str, blocks: list[int], axes: set[int]
) -> None:
    found = split(name)
    assert [len(stage.operations) for stage in found.stages] == blocks
    assert {stage.channel_axis for stage in found.stages} == axes
    assert (found.in_channels, found.num_classes, found.runs) == (3, 5, [])
    assert found.stages[0].entrance is None
    if "convnext" in name:
        assert all(stage.entrance is not None for stage in found.stages[1:])


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        # Other steps in training, branches that meet, arguments besides the features.
        ("torchvision/inception_v3", [2, 4, 2]),
        ("timm/hrnet_w18_small", [2] * 9),
        ("timm/xcit_nano_12_p16_224", [12, 2]),
        pytest.param("timm/eva02_tiny_patch14_224", [12], marks=FULL),
        pytest.param("timm/pvt_v2_b0", [2, 2, 2, 2], marks=FULL),
    ],
)
@pytest.mark.filterwarnings("ignore:The default weight init:FutureWarning")
def test_what_is_no_chain_runs_its_stages_itself(name: str, blocks: list[int]) -> None:
    found = split(name)
    assert [len(run.paths) for run in found.runs] == blocks
    assert [stage.run for stage in found.stages] == found.runs


def choosing(network: Small, x: Tensor) -> Tensor:
    """Takes steps that depend on the size of the image."""
    return x + 0 * network.conv(x[:, :, :230]).mean() if x.shape[2] > 230 else x


def reading(network: Small, x: Tensor) -> Tensor:
    y: Tensor = network.conv(network.image)
    return x + y


@pytest.mark.parametrize("model", [Small(step=reading), Small(choosing)])
def test_what_cannot_be_traced_runs_its_stages_itself(model: Small) -> None:
    paths = [run.paths for run in split_backbone(model).runs]
    assert paths == [["first.0", "first.1"], ["second.0", "second.1"]]


@pytest.mark.parametrize("training", [False, True])
def test_the_parts_in_a_row_are_the_network_which_stays_unchanged(
    training: bool,
) -> None:
    model = spread(models.get_model("mobilenet_v3_small", num_classes=5))
    model.train(training)
    model.get_submodule("features.3").eval()
    kept = copy.deepcopy(model)
    found = split_backbone(model)
    assert [m.training for m in model.modules()] == [m.training for m in kept.modules()]
    torch.testing.assert_close(model.state_dict(), kept.state_dict(), rtol=0, atol=0)
    x = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    outside = found.make([Stage(vgg(1), 1, 1)])
    torch.manual_seed(1)
    y = outside.stem(x)
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
    entrance = split_backbone(model).stages[1].entrance
    assert entrance is not None
    x = torch.randn(2, 4, 8, 8, dtype=torch.float64)
    torch.testing.assert_close(entrance(x), functional.avg_pool2d(x, 2))
    # As is a block that enlarges images.
    growing = Small()
    growing.second[0].one = nn.ConvTranspose2d(4, 8, 2, 2)
    found = split_backbone(growing)
    assert [len(stage.operations) for stage in found.stages] == [2, 1]
    assert found.stages[1].entrance is not None


def test_a_network_whose_modules_have_two_names_keeps_its_weights() -> None:
    class Shared(nn.Module):
        def __init__(self, shared: nn.Module) -> None:
            super().__init__()
            self.shared, self.own = shared, nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Any:
            return x + self.own(self.shared(x))

    model = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.Flatten(2), nn.Linear(4, 4))
    model.append(nn.Sequential(*[Shared(model[2]) for _ in range(2)]))
    model.append(nn.Flatten())
    new = rewire(model, inputs=torch.randn(2, 3, 8, 8))
    assert not any(p.is_meta for p in (*model.parameters(), *new.parameters()))


def body(*blocks: nn.Module) -> nn.Module:
    """Returns a network of one stage, whose width is the number of classes."""
    end = nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Sequential(*blocks), *end)


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("torchvision/alexnet", r"stages of blocks: .*features.3 .* has 1 weight matr"),
        ("torchvision/densenet121", r"denselayer2 \(_DenseLayer\) maps \[.* not one"),
        ("timm/rexnet_100", r"features.1 .*\(2, 16, .* to \(2, 27, .*another shape"),
        pytest.param("timm/tnt_s_patch16_224", r"blocks.1 .* not one", marks=FULL),
        pytest.param("timm/pnasnet5large", "cell_3 takes what cell_1", marks=FULL),
    ],
)
def test_the_rule_that_a_network_of_a_library_breaks_is_named(
    name: str, cause: str
) -> None:
    if name.startswith("timm"):
        pytest.importorskip("timm")
    with NoData():
        model = library_model(name, num_classes=5, in_channels=3)
    test_the_rule_that_a_network_breaks_is_named_in_one_line(model, cause)


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (nn.Linear(3, 4), "needs 2-D convolutions for its images"),
        (nn.Conv2d(3, 4, 3), r"returns logits \(batch, classes\), got a Conv2d"),
        (Small(ending=lambda net, x: (x, x)), r"\(batch, classes\), got a Small"),
        (Small(pool=False), r"returns logits \(batch, classes\), got a Small"),
        (body(nn.ReLU()), "no two modules of one class"),
        (body(Block(4, 4), nn.Identity(), Block(4, 4)), r"1.2 .* not take what 1.0 "),
        (body(Block(4, 8), Block(8, 16)), r"1.1 \(Block\) maps .* to \(2, 16, "),
        (body(*[Block(4, 4)] * 2), r"1.0 \(Block\) runs 2 times"),
    ],
)
def test_the_rule_that_a_network_breaks_is_named_in_one_line(
    model: nn.Module, cause: str
) -> None:
    modes = [module.training for module in model.modules()]
    with pytest.raises(ModelError, match=cause) as refusal:
        split_backbone(model)
    assert len(str(refusal.value).splitlines()) == 1
    assert [module.training for module in model.modules()] == modes


@pytest.mark.parametrize(
    ("name", "node", "wiring", "is_network"),
    [
        ("resnet18", "block", vgg, True),
        # The input is in the sum of a ResNet's first block, projected.
        ("resnet18", "branch", complete, False),
        # Their first block has no shortcut: only it receives the input.
        ("mobilenet_v2", "branch", residual, True),
        pytest.param("efficientnet_b0", "branch", residual, True, marks=FULL),
    ],
)
def test_the_wiring_is_that_by_which_the_backbone_runs_its_nodes(
    name: str, node: str, wiring: Callable[[int], Any], is_network: bool
) -> None:
    parts = split(name, node)
    assert parts.is_network == is_network
    for stage in parts.stages:
        assert edge_list(stage.wiring) == edge_list(wiring(len(stage.operations)))


def test_a_block_without_a_shortcut_starts_the_sum_anew() -> None:
    shortcuts = ("passes", "passes", "none", "passes")
    model = body(*(Block(4, 4, shortcut=shortcut) for shortcut in shortcuts))
    for block in model[1]:  # type: ignore[index]
        del block.shortcut
    (stage,) = split_backbone(model, "branch").stages
    # Nodes 1 and 2 add to the input, node 3 replaces the sum, node 4 adds to node 3.
    inputs = {j: sorted(stage.wiring.predecessors(j)) for j in range(1, 6)}
    assert inputs == {1: [0], 2: [0, 1], 3: [0, 1, 2], 4: [3], 5: [3, 4]}
    assert_same(spread(model), rewire(model, edges="fixed", node="branch"))


def test_projections_are_kept_or_refused() -> None:
    later = body(Block(4, 8, 1, "projects"), Block(8, 8, 1, "projects"))
    with pytest.raises(ModelError, match="stage 1: .* a projection in a later block"):
        split_backbone(later, "branch")
    assert_same(spread(later), rewire(later, edges="fixed"))
    same_width = body(Block(4, 4, 1, "projects"), Block(4, 4))
    with pytest.raises(ModelError, match="of 4 channels to as many"):
        split_backbone(same_width, "branch")


def test_only_a_chain_of_blocks_has_branches() -> None:
    # Stages of one block have no other wiring: one of ResNet's must be wired anew.
    with NoData():
        wired = create_model("resnet18", edges="fixed", wiring=complete, node="block")
        branches = create_model("mobilenet_v2", edges="fixed", wiring=vgg)
    with pytest.raises(ModelError, match="of the kind 'block' on another wiring"):
        with_nodes(parts_of_network(wired), "branch")
    with pytest.raises(ModelError, match="of the kind 'branch' on a chain"):
        with_nodes(parts_of_network(branches), "block")
    with pytest.raises(ModelError, match="can be rewired, got randwire_tiny"):
        parts_of_network(create_model("randwire_tiny", n=4, channels=4))
