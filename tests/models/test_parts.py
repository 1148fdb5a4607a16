"""What a backbone is made of, and the wirings that its parts take."""

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import Fixed, create_model, rewire
from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, residual, vgg
from ddw_graph.models.backbones import NoData, library_model
from ddw_graph.models.parts import Parts, build_network, parts_of_network, with_nodes
from ddw_graph.models.splitting import split_backbone
from ddw_graph.wiring import edge_list
from tests.models.test_backbones import assert_same, spread


def parts(name: str, node: str) -> Parts:
    model = library_model(name, num_classes=5, in_channels=3)
    return split_backbone(model, node)


@pytest.mark.parametrize(
    ("name", "node", "wiring", "is_network"),
    [
        ("resnet18", "block", vgg, True),
        ("mobilenet_v2", "block", vgg, True),
        # The input is in the sum of a ResNet's first block, projected.
        ("resnet18", "branch", complete, False),
        pytest.param(
            "regnet_x_600mf", "branch", complete, False, marks=pytest.mark.full
        ),
        # Their first block has no shortcut: the input feeds it alone.
        ("mobilenet_v2", "branch", residual, True),
        pytest.param(
            "efficientnet_b0", "branch", residual, True, marks=pytest.mark.full
        ),
    ],
)
def test_the_wiring_is_that_by_which_the_backbone_runs_its_nodes(
    name: str, node: str, wiring: object, is_network: bool
) -> None:
    assert callable(wiring)
    made = parts(name, node)
    assert made.is_network == is_network
    for stage in made.stages:
        assert edge_list(stage.wiring) == edge_list(wiring(len(stage.operations)))


def test_a_wiring_is_needed_for_each_stage_and_node() -> None:
    made = parts("resnet18", "block")
    config = {"drop_path": 0.0, "neutral": None}
    with pytest.raises(ModelError, match="the backbone has 4 stages, got 3 wirings"):
        build_network(made, [vgg(2)] * 3, config, edges=Fixed)
    with pytest.raises(ModelError, match=r"stage 2 .* 2 blocks \(n\), .* n=3"):
        build_network(made, [vgg(2), vgg(3), vgg(2), vgg(2)], config, edges=Fixed)


class Block(nn.Module):
    """A block that projects its shortcut, passes it as it is, or has none."""

    def __init__(self, in_channels: int, channels: int, shortcut: str) -> None:
        super().__init__()
        self.one = nn.Conv2d(in_channels, channels, 3, padding=1)
        self.two = nn.Conv2d(channels, channels, 3, padding=1)
        self.has_shortcut = shortcut != "none"
        self.shortcut = (
            nn.Conv2d(in_channels, channels, 1) if shortcut == "projects" else None
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(self.one(x).relu())
        if not self.has_shortcut:
            return y
        return (x if self.shortcut is None else self.shortcut(x)) + y


def network(*blocks: nn.Module) -> nn.Module:
    """Returns a network with one stage, whose width is the number of classes."""
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1),
        nn.Sequential(*blocks),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


def test_a_block_without_a_shortcut_starts_the_sum_anew() -> None:
    shortcuts = ("passes", "passes", "none", "passes")
    model = network(*(Block(4, 4, shortcut) for shortcut in shortcuts))
    (stage,) = split_backbone(model, "branch").stages
    # Nodes 1 and 2 add to the input, node 3 replaces the sum, node 4 adds to node 3.
    heard = {j: sorted(stage.wiring.predecessors(j)) for j in range(1, 6)}
    assert heard == {1: [0], 2: [0, 1], 3: [0, 1, 2], 4: [3], 5: [3, 4]}
    assert_same(spread(model), rewire(model, edges="fixed", node="branch"))


def test_a_projection_in_a_later_block_has_no_edge_to_stand_on() -> None:
    model = network(Block(4, 8, "projects"), Block(8, 8, "projects"))
    with pytest.raises(ModelError, match="stage 1: .* a projection in a later block"):
        split_backbone(model, "branch")
    assert_same(spread(model), rewire(model, edges="fixed"))


def test_a_projection_that_changes_nothing_is_not_lost() -> None:
    model = network(Block(4, 4, "projects"), Block(4, 4, "passes"))
    try:
        made = rewire(model, edges="fixed", node="branch", neutral=False)
    except ModelError:
        return  # refused in words: as good
    x = torch.randn(2, 3, 16, 16)
    torch.testing.assert_close(made.eval()(x), model.eval()(x))


def test_randwires_networks_have_no_backbone() -> None:
    model = create_model("randwire_tiny", n=4, channels=4)
    with pytest.raises(ModelError, match="can be rewired, got randwire_tiny"):
        parts_of_network(model)
    model.config = None
    with pytest.raises(ModelError, match="can be rewired, got one of your own"):
        parts_of_network(model)


def test_nothing_else_unrolls() -> None:
    # Stages of one block have no other wiring: one of ResNet's must be wired anew.
    with NoData():
        wired = create_model("resnet18", edges="fixed", wiring=complete, node="block")
        branches = create_model("mobilenet_v2", edges="fixed", wiring=vgg)
    with pytest.raises(ModelError, match="of the kind 'block' on another wiring"):
        with_nodes(parts_of_network(wired), "branch")
    assert branches.config is not None and branches.config["node"] == "branch"
    with pytest.raises(ModelError, match="of the kind 'branch' on a chain"):
        with_nodes(parts_of_network(branches), "block")
