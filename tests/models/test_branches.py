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
from tests.models.test_backbones import spread


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
        pytest.param("resnet50", 8, 4, False, marks=pytest.mark.full),
        ("regnet_y_400mf", 7, 4, False),
        ("mobilenet_v2", 5, 0, True),
        ("efficientnet_b0", 5, 0, True),
        pytest.param("convnext_tiny", 8, 0, True, marks=pytest.mark.full),
    ],
)
def test_the_parts_of_every_block_make_the_block(
    name: str, shortcuts: int, projections: int, ends_linear: bool
) -> None:
    blocks = blocks_of(models.get_model(name, num_classes=5))
    parts = [assert_parts_make_the_block(*block) for block in blocks]
    assert sum(each.has_shortcut for each in parts) == shortcuts
    assert sum(each.projection is not None for each in parts) == projections
    assert all((each.activation is None) == ends_linear for each in parts)


@pytest.mark.parametrize(
    ("name", "projections"),
    [
        ("seresnet18", 3),
        ("resnetv2_18", 3),
        pytest.param("regnetx_002", 4, marks=pytest.mark.full),
        ("mobilenetv3_small_050", 0),
        ("convnext_atto", 0),
    ],
)
def test_the_parts_of_timms_blocks_make_them_too(name: str, projections: int) -> None:
    timm = pytest.importorskip("timm")
    blocks = blocks_of(timm.create_model(name, num_classes=5))
    parts = [assert_parts_make_the_block(*block) for block in blocks]
    assert sum(each.projection is not None for each in parts) == projections


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
    ("forward", "ends_linear"),
    [
        (lambda b, x: added_in_place(b.two(b.one(x).relu()), x).relu(), False),
        (lambda b, x: b.two(b.one(x)).add(x), True),
        (lambda b, x: b.two(b.one(x)).add_(x), True),
        (lambda b, x: b.two(b.one(x)) + b.downsample(x), True),
        (dropping, True),
    ],
)
def test_an_addition_may_be_written_in_any_way(forward: Any, ends_linear: bool) -> None:
    parts = assert_parts_make_the_block(Block(forward).double(), 4)
    assert parts.has_shortcut and parts.projection is None
    assert (parts.activation is None) == ends_linear


def test_a_scaled_addition_is_none_and_a_scaled_shortcut_a_projection() -> None:
    scaled = Block(lambda b, x: torch.add(x, b.one(x), alpha=0.5)).double()
    assert not assert_parts_make_the_block(scaled, 4).has_shortcut
    halved = Block(lambda b, x: x * 0.5 + b.two(b.one(x))).double()
    assert assert_parts_make_the_block(halved, 4).projection is not None


@pytest.mark.parametrize(
    "forward",
    [
        lambda b, x: x + b.one(x) * 2 if b.training else x + b.one(x),
        lambda b, x: x + functional.dropout2d(b.one(x), 0.5, b.training),
        lambda b, x: x + functional.dropout(b.one(x), 0.5, not b.training),
    ],
)
def test_what_a_block_does_only_in_training_is_kept_or_refused(forward: Any) -> None:
    block = Block(forward).double()
    try:
        split_block(block)
    except ModelError:
        return
    assert_parts_make_the_block(block, 4)


@pytest.mark.parametrize(
    ("forward", "rule"),
    [
        (lambda b, x: (y := b.one(x)) + b.two(y), "adds each branch to a shortcut"),
        (lambda b, x: torch.add(x, b.one(x)) * x, "adds each branch to a shortcut"),
        (lambda b, x: x + b.one(x) if x.sum() > 0 else x, "torch.fx can trace, got a"),
    ],
)
def test_a_block_of_another_form_is_refused(forward: Any, rule: str) -> None:
    block = Block(forward).train()
    with pytest.raises(ModelError, match=rule):
        split_block(block)
    assert block.training
