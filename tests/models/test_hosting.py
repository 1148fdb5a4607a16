"""Networks whose own forward runs the stages: the same function, every argument."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import FeatureNetwork, load, prune, rewire, save, share_in_stages
from ddw_graph.errors import ModelError, ShareWarning
from ddw_graph.generators import complete
from ddw_graph.nn.cost import cost
from ddw_graph.nn.host_network import HostNetwork
from ddw_graph.nn.network import Network
from tests.models.networks import moved, original, pixels

BY_POSITION = "dynamic:per=position"


class Block(nn.Module):
    """Two matrices and a shortcut; a mask and a scale besides the features."""

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
    """Passes features to a block by name."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.ModuleList([Block(), Block()])

    def forward(self, x: Tensor, mask: Tensor, *, scale: float = 1.0) -> Any:
        for block in self.inner:
            x = block(x=x, mask=mask)
        return x


class Loop(nn.Module):
    """Passes its blocks a mask and a scale, with a step between two of them."""

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
    # A network that runs within is not taken for it.
    inner = moved(rewired(Loop()))

    def run_inner(*_: object) -> None:
        inner(**tokens())

    new.get_submodule("model.head").register_forward_hook(run_inner)
    for network in (new, copy.deepcopy(new)):
        found = network(**tokens(), return_adjacency=True)
        torch.testing.assert_close(found, (y, [matrix]))


def in_place(seen: list[Tensor], place: int) -> Tensor:
    return seen[-1].mul_(2) if place == 2 else seen[-1]


def long_way(seen: list[Tensor], place: int) -> Tensor:
    return seen[-1] + seen[1] if place == 3 else seen[-1]


@pytest.mark.parametrize(("step", "blocks"), [(in_place, [2, 4]), (long_way, [2, 3])])
def test_a_stage_ends_where_something_else_reads_or_changes_features(
    step: Callable[..., Tensor], blocks: list[int]
) -> None:
    old = Loop(blocks=6, step=step)
    new = rewired(old)
    assert [len(stage.operations) for stage in new.stages] == blocks
    torch.testing.assert_close(new(**tokens()), old(**tokens()))


@pytest.mark.parametrize(
    ("model", "settings", "cause"),
    [
        (
            lambda: Loop(mask=lambda mask, place: mask * place),
            {},
            "blocks.0 and blocks.1 take different arguments besides the features",
        ),
        (
            lambda: Loop(step=lambda seen, place: seen[-1] * 2),
            {},
            "something runs between blocks.0 and blocks.1|reads what blocks.0 returns",
        ),
        (lambda: Loop(blocks=1), {}, "stages of blocks"),
        (lambda: Loop(ByName, 1), {}, r"blocks.0.inner.1 .* maps {'x': .* not one"),
        (lambda: Loop(Making), {}, r"blocks.1 \(Making\) maps .* to \(\(.* not one"),
        (lambda: nn.Linear(3, 3), {}, "takes, got a Linear that fails"),
        (lambda: Loop(InTuple), {"node": "branch"}, "adds each branch to a shortcut"),
    ],
)
def test_a_refusal_names_its_cause(
    model: Callable[[], nn.Module], settings: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ModelError, match=cause) as refusal:
        rewired(model(), **settings)
    assert len(str(refusal.value).splitlines()) == 1


def test_a_branch_refuses_an_argument_that_was_none() -> None:
    class Optional(Block):
        def forward(self, x: Tensor, mask: Tensor | None, *, scale: Any = None) -> Any:
            if scale is not None:
                raise ValueError
            return x + self.two(self.one(x) * mask)

    new = rewired(Loop(Optional), node="branch", inputs={**tokens(), "scale": None})
    with pytest.raises(ModelError, match="got scale too; take node='block'"):
        new(**tokens(), scale=2.0)


def test_it_is_loaded_without_inputs_and_rewired_again(tmp_path: Any) -> None:
    new = moved(rewired(Loop(InTuple))).eval()
    save(new, tmp_path / "new.safetensors")
    again = load(tmp_path / "new.safetensors", backbone=Loop(InTuple))
    torch.testing.assert_close(again(**tokens()), new(**tokens()), rtol=0, atol=0)
    with pytest.raises(Exception, match="must have the blocks blocks.0"):
        load(tmp_path / "new.safetensors", backbone=Loop(InTuple, blocks=3))
    fixed = rewired(Loop(), edges="fixed")
    other = rewired(fixed, wiring=complete(4))
    assert isinstance(other, HostNetwork)
    assert other.stages[0].dag.number_of_edges() == 15
    torch.testing.assert_close(other(**tokens()), fixed(**tokens()))


def test_its_cost_counts_the_stages_and_all_else() -> None:
    new = rewired(Loop()).float()
    inputs = {name: x[:1].float() for name, x in tokens().items()}
    found = cost(new, inputs=inputs)
    assert [part.part for part in found.parts] == ["other", "stage 1"]
    assert found.parameters == sum(p.numel() for p in new.parameters())
    assert [part.layer_macs for part in found.parts] == [5 * 6 * 3, 4 * 2 * 5 * 6 * 6]
    assert found.expected_macs([torch.ones(1, 6, 6).tril(-1)]) == found.total_macs
    for use, rule in (
        (cost, "needs inputs="),
        (FeatureNetwork, "stem, stages and a head, got a Loop"),
        (lambda network: prune(network, []), "takes images"),
    ):
        with pytest.raises(ModelError, match=rule):
            use(new)


def test_on_images_it_is_pruned_too(tmp_path: Any, nameless: None) -> None:
    shut = "dynamic:gate=hard,bias=0,threshold=0.5,router_std=1"
    old, x = original("eva02_tiny_patch14_224").eval(), pixels(size=32)
    new = rewire(old, edges=shut, neutral=False)
    small = prune(new, [x])
    assert isinstance(small, HostNetwork)
    before, after = (n.stages[0].dag.number_of_edges() for n in (new, small))
    assert after < before
    torch.testing.assert_close(small(x), new(x))
    save(small, tmp_path / "small.safetensors")
    again = load(tmp_path / "small.safetensors", backbone=old)
    torch.testing.assert_close(again(x), small(x), rtol=0, atol=0)


def test_the_share_is_reported_and_a_small_one_warned_of() -> None:
    old = Loop()
    share = share_in_stages(rewired(old))
    inside = sum(p.numel() for p in old.blocks.parameters())
    assert share.share == inside / (inside + 21)
    assert share.outside == {"model.head": 21}
    old.add_module("large", nn.Linear(100, 100))
    with pytest.warns(ShareWarning, match=r"3% of .* are model.large \(10,100\)"):
        rewired(old)
