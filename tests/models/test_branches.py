"""Blocks taken apart: branch, shortcut and what follows make the block again."""

from collections.abc import Iterator

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
    parts = split_block(block)
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
def test_those_of_timms_blocks_too(name: str, projections: int) -> None:
    timm = pytest.importorskip("timm")
    blocks = blocks_of(timm.create_model(name, num_classes=5))
    parts = [assert_parts_make_the_block(*block) for block in blocks]
    assert sum(each.projection is not None for each in parts) == projections


def test_the_modules_are_the_blocks_own() -> None:
    block = models.get_model("resnet18").get_submodule("layer2.0")
    parts = split_block(block)
    assert parts.projection is not None and parts.activation is not None
    made = (parts.branch, parts.projection, parts.activation)
    own = {id(parameter) for parameter in block.parameters()}
    assert {id(p) for part in made for p in part.parameters()} == own


def test_what_branch_and_shortcut_share_goes_two_ways() -> None:
    timm = pytest.importorskip("timm")
    # A block of the second version normalises before both.
    block = timm.create_model("resnetv2_18").get_submodule("stages.1.operations.0")
    parts = split_block(block)
    assert parts.projection is not None
    branch, projection = (
        {id(parameter) for parameter in part.parameters()}
        for part in (parts.branch, parts.projection)
    )
    assert not branch & projection
    assert len(branch) + len(projection) == len([*block.parameters()]) + 2


def test_a_block_without_an_addition_is_all_branch() -> None:
    block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.ReLU())
    assert split_block(block) == BlockParts(block, False, None, None)


class Block(nn.Module):
    """A block with two convolutions to build examples from."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(4, 4, 3, padding=1)
        self.two = nn.Conv2d(4, 4, 3, padding=1)
        self.dropout = 0.5


class Twice(Block):
    def forward(self, x: Tensor) -> Tensor:
        x = x + self.one(x)
        y: Tensor = x + self.two(x)
        return y


class Chained(Block):
    def forward(self, x: Tensor) -> Tensor:
        x = self.one(x)
        y: Tensor = x + self.two(x)
        return y


class Scaled(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.add(x, self.one(x), alpha=0.5)
        return y


class Reread(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.add(x, self.one(x)) * x
        return y


class Swapped(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x).relu())
        y += x
        return y.relu()


class Called(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x)).add(x)
        return y


class CalledInPlace(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x)).add_(x)
        return y


class Halved(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * 0.5 + self.two(self.one(x))
        return y


class Passing(Block):
    def __init__(self) -> None:
        super().__init__()
        self.downsample = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x)) + self.downsample(x)
        return y


class Dropping(Block):
    def forward(self, x: Tensor) -> Tensor:
        y = functional.dropout(self.one(x), self.dropout, self.training)
        return x + y


class Branching(Block):
    def forward(self, x: Tensor) -> Tensor:
        if x.sum() > 0:
            x = self.two(x)
        y: Tensor = x + self.one(x)
        return y


@pytest.mark.parametrize(
    "block", [Swapped(), Called(), CalledInPlace(), Passing(), Dropping()]
)
def test_an_addition_may_be_written_in_any_way(block: Block) -> None:
    parts = assert_parts_make_the_block(block.double(), 4)
    assert parts.has_shortcut and parts.projection is None
    assert (parts.activation is not None) == isinstance(block, Swapped)


def test_a_scaled_addition_is_none() -> None:
    parts = assert_parts_make_the_block(Scaled().double(), 4)
    assert not parts.has_shortcut


def test_a_shortcut_without_a_module_is_a_projection_still() -> None:
    parts = assert_parts_make_the_block(Halved().double(), 4)
    assert parts.projection is not None


def test_dropout_in_a_branch_follows_its_mode() -> None:
    x = torch.ones(64, 4, 4, 4)
    branch = split_block(Dropping().eval()).branch
    assert (branch.train()(x) == 0).float().mean() > 0.3
    torch.testing.assert_close(branch.eval()(x), branch(x))


class Shaking(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.one(x)
        if self.training:
            y = y * 2
        return x + y


class Masking(Block):
    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = functional.dropout2d(self.one(x), 0.5, self.training)
        return x + y


@pytest.mark.parametrize("block", [Shaking(), Masking()])
def test_what_a_block_does_in_training_alone_is_kept_or_refused(block: Block) -> None:
    block = block.double()
    try:
        split_block(block)
    except ModelError:
        return
    assert_parts_make_the_block(block, 4)


@pytest.mark.parametrize("block", [Chained(), Reread(), Twice()])
def test_a_block_of_another_form_is_refused(block: Block) -> None:
    name = type(block).__name__
    with pytest.raises(
        ModelError, match=f"adds a branch to a shortcut once, got a {name} that"
    ):
        split_block(block)


def test_a_block_that_looks_at_its_values_is_refused() -> None:
    block = Branching().train()
    with pytest.raises(ModelError, match="that torch.fx can trace, got a Branching: "):
        split_block(block)
    assert block.training
