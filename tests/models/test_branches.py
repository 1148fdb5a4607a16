"""Blocks split: branch, shortcut and what follows make the block again."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision import models

from ddw_graph.errors import ModelError
from ddw_graph.models.branches import BlockParts, split_block
from ddw_graph.models.splitting import split_backbone
from tests.models.networks import FULL, spread


def together(parts: BlockParts, x: Tensor) -> Tensor:
    """Returns what the parts of a block make of its input."""
    y: Tensor = parts.branch(x)
    if parts.has_shortcut:
        y = y + (x if parts.projection is None else parts.projection(x))
    return y if parts.activation is None else parts.activation(y)


def blocks_of(model: nn.Module) -> Iterator[tuple[nn.Module, int]]:
    """Yields two blocks of every stage, each with the width of its input."""
    for stage in split_backbone(spread(model)).stages:
        for place, block in enumerate(stage.operations[:2]):
            yield block, stage.channels if place else stage.in_channels


def assert_parts_make_the_block(block: nn.Module, in_channels: int) -> BlockParts:
    (parts,) = split_block(block)
    x = torch.randn(2, in_channels, 4, 4, dtype=torch.float64)
    for training in (False, True):
        for module in (block, parts.branch, parts.projection, parts.activation):
            if module is not None:
                module.train(training)
        torch.manual_seed(0)
        wanted = block(x.clone())
        torch.manual_seed(0)
        found = together(parts, x)
        torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    return parts


@pytest.mark.parametrize(
    ("name", "shortcuts", "projections", "ends_linear"),
    [
        ("resnet18", 8, 3, False),
        pytest.param("resnet50", 8, 4, False, marks=FULL),
        ("regnet_y_400mf", 7, 4, False),
        ("mobilenet_v2", 5, 0, True),
        pytest.param("efficientnet_b0", 5, 0, True, marks=FULL),
        pytest.param("convnext_tiny", 8, 0, True, marks=FULL),
        ("timm/seresnet18", 8, 3, False),
        ("timm/resnetv2_18", 8, 3, True),
        ("timm/mobilenetv3_small_050", 5, 0, True),
    ],
)
def test_the_parts_of_every_block_make_the_block(
    name: str, shortcuts: int, projections: int, ends_linear: bool
) -> None:
    if name.startswith("timm"):
        timm = pytest.importorskip("timm")
        model = timm.create_model(name.removeprefix("timm/"), num_classes=5)
    else:
        model = models.get_model(name, num_classes=5)
    parts = [assert_parts_make_the_block(*block) for block in blocks_of(model)]
    assert sum(each.has_shortcut for each in parts) == shortcuts
    assert sum(each.projection is not None for each in parts) == projections
    assert all((each.activation is None) == ends_linear for each in parts)


def test_what_branch_and_shortcut_share_goes_two_ways() -> None:
    timm = pytest.importorskip("timm")
    # A block of the second version normalises before both.
    block = timm.create_model("resnetv2_18").get_submodule("stages.1.blocks.0")
    (parts,) = split_block(block)
    assert parts.projection is not None
    branch, projection = (
        {id(parameter) for parameter in part.parameters()}
        for part in (parts.branch, parts.projection)
    )
    assert not branch & projection
    assert len(branch) + len(projection) == len([*block.parameters()]) + 2


class Block(nn.Module):
    """A block of two convolutions with any forward."""

    def __init__(self, forward: Callable[["Block", Tensor], Tensor]) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.downsample = nn.Identity()
        self.step = forward

    def forward(self, x: Tensor) -> Tensor:
        return self.step(self, x)


def added_in_place(y: Tensor, x: Tensor) -> Tensor:
    y += x
    return y


def dropping(block: Block, x: Tensor) -> Tensor:
    return x + functional.dropout(block.one(x), 0.5, block.training)


@pytest.mark.parametrize(
    ("forward", "has_shortcut", "projects", "ends_linear"),
    [
        (lambda b, x: added_in_place(b.one(x).relu(), x).relu(), True, False, False),
        (lambda b, x: b.two(b.one(x)).add(x), True, False, True),
        (lambda b, x: b.two(b.one(x)).add_(x), True, False, True),
        (lambda b, x: b.two(b.one(x)) + b.downsample(x), True, False, True),
        (dropping, True, False, True),
        (lambda b, x: x * 0.5 + b.two(b.one(x)), True, True, True),
        # A scaled addition is none.
        (lambda b, x: torch.add(x, b.one(x), alpha=0.5), False, False, True),
    ],
)
def test_an_addition_may_be_written_in_any_way(
    forward: Any, has_shortcut: bool, projects: bool, ends_linear: bool
) -> None:
    parts = assert_parts_make_the_block(Block(forward).double(), 4)
    assert parts.has_shortcut == has_shortcut
    assert (parts.projection is not None) == projects
    assert (parts.activation is None) == ends_linear


@pytest.mark.parametrize(
    ("forward", "rule"),
    [
        (lambda b, x: (y := b.one(x)) + b.two(y), "adds each branch to a shortcut"),
        (lambda b, x: torch.add(x, b.one(x)) * x, "adds each branch to a shortcut"),
        (lambda b, x: x + b.one(x) if x.sum() > 0 else x, "torch.fx can trace, got a"),
        (lambda b, x: x + b.one(x) * 2 if b.training else x + b.one(x), "same steps"),
        (
            lambda b, x: x + functional.dropout(b.one(x), 0.5, not b.training),
            "same steps",
        ),
    ],
)
def test_a_block_of_another_form_is_refused(forward: Any, rule: str) -> None:
    block = Block(forward).train()
    with pytest.raises(ModelError, match=rule):
        split_block(block)
    assert block.training
