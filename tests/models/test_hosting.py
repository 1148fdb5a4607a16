"""Networks whose own forward runs the stages: the same function, every argument."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import load, rewire, save
from ddw_graph.errors import ModelError, ShareWarning
from ddw_graph.generators import complete
from ddw_graph.models.features import FeatureNetwork
from ddw_graph.models.pruning import prune
from ddw_graph.models.share import share_in_stages
from ddw_graph.nn.cost import cost
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.network import Network

BY_POSITION = "dynamic:per=position"


class Block(nn.Module):
    """Two matrices and a shortcut; a mask and a scale beside the features."""

    def __init__(self, width: int = 6) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor, *, scale: float = 1.0) -> Any:
        return x + scale * mask * self.two(self.one(x).tanh())


class InTuple(Block):
    """Returns None, and the mask that it took, behind the features."""

    def forward(self, x: Tensor, mask: Tensor, *, scale: float = 1.0) -> Any:
        return super().forward(x, mask, scale=scale), None, mask


class Making(Block):
    """Returns a tensor of its own behind the features."""

    def forward(self, x: Tensor, mask: Tensor, *, scale: float = 1.0) -> Any:
        return super().forward(x, mask, scale=scale), None, mask * scale


class ByName(nn.Module):
    """Hands features to a block by name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor, mask: Tensor, *, scale: float = 1.0) -> Any:
        for block in self.inner:
            x = block(x=x, mask=mask)
        return x


class Loop(nn.Module):
    """Hands its blocks a mask and a scale, with a step between two of them."""

    def __init__(
        self,
        block: Callable[[], nn.Module] = Block,
        blocks: int = 4,
        step: Callable[[list[Tensor], int], Tensor] = lambda seen, _: seen[-1],
        mask: Callable[[Tensor, int], Tensor] = lambda mask, _: mask,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(block() for _ in range(blocks))
        self.head = nn.Linear(6, 3)
        self.step, self.mask = step, mask

    def forward(self, x: Tensor, mask: Tensor, scale: float = 0.5) -> Tensor:
        seen = [x]
        for place, block in enumerate(self.blocks):
            y = block(self.step(seen, place), self.mask(mask, place), scale=scale)
            if isinstance(y, tuple):
                y, none, mask = y
                assert none is None
            seen.append(y)
        logits: Tensor = self.head(seen[-1]).mean(1)
        return logits


def tokens() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 5, 6, generator=generator, dtype=torch.float64)
    return {"x": x, "mask": (x[..., :1] > 0).double()}


def rewired(model: nn.Module, **settings: Any) -> Network:
    settings = {"inputs": tokens(), "edges": BY_POSITION} | settings
    return rewire(model.double(), **settings)


def moved(network: Network) -> Network:
    """Returns the network with edge weights away from their start, so that all act."""
    for stage in network.stages:
        for parameter in stage.weights.parameters():
            parameter.data += 0.3 * torch.randn_like(parameter)
    return network


@pytest.mark.parametrize(
    ("block", "node"), [(Block, "block"), (Block, "branch"), (InTuple, "block")]
)
def test_it_computes_and_learns_what_the_network_does(
    block: type[Block], node: str
) -> None:
    old = Loop(block).double()
    new = rewired(old, node=node)
    assert isinstance(new, HostNetwork)
    wanted, found = old(**tokens()), new(**tokens())
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    for y in (wanted, found):
        y.square().sum().backward()
    blocks = [p.grad for block in old.blocks for p in block.parameters()]
    nodes = [p.grad for node in new.stages[0].operations for p in node.parameters()]
    torch.testing.assert_close(nodes, blocks, rtol=1e-12, atol=1e-12)


def test_every_argument_reaches_every_node_and_none_is_kept() -> None:
    new = moved(rewired(Loop()))
    given: list[Any] = []
    for node in new.stages[0].operations:
        node.register_forward_pre_hook(
            lambda _, args, kwargs: given.append((args[1], kwargs["scale"])),
            with_kwargs=True,
        )
    for scale in (0.5, 2.0):
        given.clear()
        inputs = tokens()
        new(**inputs, scale=scale)
        assert len(given) == 4
        assert all(mask is inputs["mask"] and s == scale for mask, s in given)


def test_adjacencies_are_returned_and_taken_without_a_state() -> None:
    old = Loop()
    new = moved(rewired(old))
    plain = new(**tokens())
    y, (matrix,) = new(**tokens(), return_adjacency=True)
    assert matrix.shape == (2, 6, 6, 5, 1)
    torch.testing.assert_close(y, plain, rtol=0, atol=0)
    torch.testing.assert_close(new(**tokens(), adjacency=[matrix]), plain)
    chain = torch.diag(torch.ones(5), -1)[None].double()
    other, (same,) = new(**tokens(), adjacency=[chain], return_adjacency=True)
    torch.testing.assert_close(same, chain.expand(2, 6, 6))
    torch.testing.assert_close(other, old(**tokens()))
    torch.testing.assert_close(new(**tokens()), plain, rtol=0, atol=0)
    with pytest.raises(ModelError, match="each of 1 stages, got 2"):
        new(**tokens(), adjacency=[chain, chain])


def test_a_network_within_another_is_not_taken_for_it() -> None:
    inner = moved(rewired(Loop()))
    outer = rewired(Loop())
    wanted, (matrix,) = outer(**tokens(), return_adjacency=True)

    def run_inner(*_: object) -> None:
        inner(**tokens())

    outer.get_submodule("model.head").register_forward_hook(run_inner)
    copied = copy.deepcopy(outer)
    for network in (outer, copied):
        logits, (found,) = network(**tokens(), return_adjacency=True)
        torch.testing.assert_close((logits, found), (wanted, matrix))


def in_place(seen: list[Tensor], place: int) -> Tensor:
    return seen[-1].mul_(2) if place == 2 else seen[-1]


def long_way(seen: list[Tensor], place: int) -> Tensor:
    return seen[-1] + seen[1] if place == 3 else seen[-1]


@pytest.mark.parametrize("step", [in_place, long_way])
def test_a_stage_ends_where_something_else_reads_or_changes_features(
    step: Callable[..., Tensor],
) -> None:
    old = Loop(blocks=6, step=step)
    new = rewired(old)
    assert [stage.plan.nodes - 2 for stage in new.stages] == (
        [2, 4] if step is in_place else [2, 3]
    )
    torch.testing.assert_close(new(**tokens()), old(**tokens()))


def changing(mask: Tensor, place: int) -> Tensor:
    return mask * place


class Shared(nn.Module):
    """A block that computes with another's module too."""

    def __init__(self, shared: nn.Module) -> None:
        super().__init__()
        self.shared, self.own = shared, nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Any:
        return x + self.own(self.shared(x))


def test_a_network_whose_modules_have_two_names_keeps_its_weights() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 4, 4), nn.Flatten(2), nn.Linear(4, 4))
    model.append(nn.Sequential(*[Shared(model[2]) for _ in range(2)]))
    model.append(nn.Flatten())
    new = rewire(model, inputs=torch.randn(2, 3, 8, 8))
    assert not any(p.is_meta for p in (*model.parameters(), *new.parameters()))


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        (
            lambda: Loop(mask=changing),
            "blocks.0 and blocks.1 take different arguments besides the features",
        ),
        (
            lambda: Loop(step=lambda seen, place: seen[-1] * 2),
            "something runs between blocks.0 and blocks.1|reads what blocks.0 returns",
        ),
        (lambda: Loop(blocks=1), "stages of blocks"),
        (
            lambda: Loop(ByName, blocks=1),
            r"blocks.0.inner.1 \(Block\) maps {'x': .* not one tensor",
        ),
        (lambda: Loop(Making), r"blocks.1 \(Making\) maps .* to \(\(.* not one tensor"),
        (lambda: nn.Linear(3, 3), "takes, got a Linear that fails"),
    ],
)
def test_a_refusal_names_its_cause(model: Callable[[], nn.Module], cause: str) -> None:
    with pytest.raises(ModelError, match=cause) as refusal:
        rewired(model())
    assert len(str(refusal.value).splitlines()) == 1


def test_a_block_that_is_not_clear_has_no_branches() -> None:
    with pytest.raises(ModelError, match="adds each branch to a shortcut"):
        rewired(Loop(InTuple), node="branch")


def test_a_branch_refuses_an_argument_that_was_none() -> None:
    class Optional(Block):
        def forward(self, x: Tensor, mask: Tensor | None, *, scale: Any = None) -> Any:
            if scale is not None:
                raise ValueError
            return x + self.two(self.one(x) * mask)

    new = rewired(Loop(Optional), node="branch", inputs={**tokens(), "scale": None})
    with pytest.raises(ModelError, match="got scale too; take node='block'"):
        new(**tokens(), scale=2.0)


def test_saved_with_its_runs_it_is_loaded_without_inputs(tmp_path: Any) -> None:
    new = moved(rewired(Loop(InTuple))).eval()
    save(new, tmp_path / "new.safetensors")
    again = load(tmp_path / "new.safetensors", backbone=Loop(InTuple))
    torch.testing.assert_close(again(**tokens()), new(**tokens()), rtol=0, atol=0)
    with pytest.raises(Exception, match="must have the blocks blocks.0"):
        load(tmp_path / "new.safetensors", backbone=Loop(InTuple, blocks=3))


def test_rewired_again_it_takes_other_wirings() -> None:
    fixed = rewired(Loop(), edges="fixed")
    again = rewired(fixed, wiring=complete(4))
    assert isinstance(again, HostNetwork)
    assert again.stages[0].dag.number_of_edges() == 15
    torch.testing.assert_close(again(**tokens()), fixed(**tokens()))


def test_its_cost_counts_the_stages_and_all_else() -> None:
    new = rewired(Loop()).float()
    inputs = {name: x[:1].float() for name, x in tokens().items()}
    found = cost(new, inputs=inputs)
    assert [part.part for part in found.parts] == ["other", "stage 1"]
    assert found.parameters == sum(p.numel() for p in new.parameters())
    assert [part.layer_macs for part in found.parts] == [5 * 6 * 3, 4 * 2 * 5 * 6 * 6]
    assert found.expected_macs([torch.ones(1, 6, 6).tril(-1)]) == found.total_macs
    with pytest.raises(ModelError, match="needs inputs="):
        cost(new)


def test_it_has_no_pyramid_and_is_not_pruned_on_images() -> None:
    new = rewired(Loop())
    with pytest.raises(ModelError, match="stem, stages and a head, got a Loop"):
        FeatureNetwork(new)
    with pytest.raises(ModelError, match="takes images"):
        prune(new, [])


def test_the_share_is_reported_and_a_small_one_warned_of() -> None:
    old = Loop()
    share = share_in_stages(rewired(old))
    inside = sum(p.numel() for p in old.blocks.parameters())
    assert share.share == inside / (inside + 21)
    assert share.outside == {"model.head": 21}
    old.add_module("large", nn.Linear(100, 100))
    with pytest.warns(
        ShareWarning, match=r"3% of .* outside are model.large \(10,100\)"
    ):
        rewired(old)
