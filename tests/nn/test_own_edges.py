"""A kind of the user's is built, counted, trained, pruned and refused as it says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor, nn

from ddw_graph import (
    Dynamic,
    EdgeWeights,
    Fixed,
    Gated,
    Network,
    Stage,
    convert,
    create_model,
    edge_kind,
)
from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, vgg
from ddw_graph.models import prune
from ddw_graph.nn.cost import cost
from ddw_graph.nn.edges import (
    KINDS,
    edge_settings,
    edge_text,
    from_saved,
    is_static,
    saved_text,
)
from ddw_graph.nn.plan import StagePlan
from ddw_graph.training.parameter_groups import parameter_groups
from ddw_graph.training.recipe import Recipe
from tests.nn.test_stage import images, lively


class ByChannel(EdgeWeights):
    """Weighs each channel of each edge."""

    at_start = 1.0
    lr_scale = 0.5

    def __init__(self, plan: StagePlan, channels: Sequence[int]) -> None:
        super().__init__(plan, channels)
        self.weight = nn.ParameterList(
            torch.ones(1, len(plan.weighted(node)), channels[node], 1, 1)
            for node in range(plan.nodes)
        )

    def outgoing(self, node: int, x: Tensor) -> Tensor:
        weight: Tensor = self.weight[node]
        return weight

    def no_weight_decay(self) -> set[str]:
        return {name for name, _ in self.named_parameters()}

    def macs(self, node: int, elements: int) -> int:
        return 7


class Brightest(EdgeWeights):
    """Opens the edges of a sample whose features are large enough."""

    can_close = True

    def outgoing(self, node: int, x: Tensor) -> Gated:
        weights = x.new_ones(len(x), len(self.plan.weighted(node)))
        bounds = torch.arange(weights.shape[1], device=x.device) - 1.0
        return Gated(weights, x.mean((1, 2, 3))[:, None] > bounds)


class Both(EdgeWeights):
    """Weighs outputs by node, and the inputs of a node by their share of that."""

    def outgoing(self, node: int, x: Tensor) -> Tensor:
        return x.new_full((1, len(self.plan.weighted(node))), node + 1.0)

    def incoming(self, node: int, inputs: Sequence[Tensor], weights: Tensor) -> Tensor:
        return weights / weights.sum(1, keepdim=True)


def tiny(edges: Any, **settings: Any) -> Network:
    model: Network = create_model(
        "randwire_tiny", wiring="complete", n=3, channels=4, edges=edges, **settings
    )
    return model


def test_weights_by_channel_multiply_channels() -> None:
    stage = lively(Stage(complete(2), 4, 4, edges=ByChannel)).eval()
    weight: Any = stage.weights.weight
    x = images(2, 4, 5, 5)
    first = stage.operations[0](x * weight[0][:, 0])
    second = stage.operations[1](x * weight[0][:, 1] + first * weight[1][:, 0])
    y = x * weight[0][:, 2] + first * weight[1][:, 1] + second * weight[2][:, 0]
    found, adjacency = stage(x, return_adjacency=True)
    torch.testing.assert_close(found, y)
    assert adjacency.shape == (2, 4, 4, 4, 1, 1)
    torch.testing.assert_close(stage(x, adjacency=adjacency[:1]), y)


def test_edges_that_close_are_skipped_counted_and_pruned() -> None:
    model = tiny(Brightest).eval()
    x = torch.randn(4, 3, 16, 16)
    with torch.no_grad():
        y, adjacency = model(x, return_adjacency=True)
        for stage in model.stages:
            stage.skips = False
        torch.testing.assert_close(model(x), y)
    assert any((matrix[:, 4] == 0).any() for matrix in adjacency)
    with pytest.raises(ModelError, match="Brightest has no method macs"):
        cost(model, 16)
    with pytest.raises(ModelError, match="Brightest cannot be pruned.*take_over"):
        prune(model, [x])


def test_it_is_trained_as_it_says() -> None:
    model = tiny(ByChannel)
    groups = parameter_groups(model, Recipe(router_lr=3.0, weight_decay=0.1))
    edges = {id(p) for stage in model.stages for p in stage.weights.parameters()}
    (group,) = (g for g in groups if {id(p) for p in g["params"]} & edges)
    assert {id(p) for p in group["params"]} == edges
    assert (group["scale"], group["weight_decay"]) == (1.5, 0.0)
    assert sum(len(g["params"]) for g in groups) == len([*model.parameters()])
    assert cost(model, 16).weighing == 7 * 5 * 3


def test_a_neutral_start_scales_it_and_trains_it_as_before() -> None:
    edges = [(0, 1), (1, 2), (2, 3)]
    stage = Stage(complete(2), 4, 4, edges=ByChannel, neutral=edges)
    _, adjacency = stage(torch.randn(1, 4, 5, 5), return_adjacency=True)
    assert torch.equal(adjacency[0, :, :, 0, 0, 0], torch.diag(torch.ones(3), -1))
    assert stage.weights.lr_scale == 0.5
    names = {name for name, _ in stage.weights.named_parameters()}
    assert stage.weights.no_weight_decay() == names and "neutral_scale" in names
    for kind, lacks in ((Brightest, "at_start"), (Both, "method neutral")):
        with pytest.raises(ModelError, match=f"has no {lacks}"):
            Stage(complete(2), 4, 4, edges=kind, neutral=edges)


def test_a_kind_with_settings_has_a_text() -> None:
    class Scales(EdgeWeights):
        factor = 1.0

        def shared(self, x: Tensor) -> Tensor:
            return x.new_full((len(self.plan.weighted_edges),), self.factor)

    @edge_kind("scaled")
    @dataclass(frozen=True)
    class Scaled:
        factor: float = 1.0
        times: int = 1
        made: bool = False

        def __call__(self, plan: StagePlan, channels: Sequence[int]) -> EdgeWeights:
            weights = Scales(plan, channels)
            weights.factor = self.factor * self.times
            return weights

    try:
        settings: Any = edge_settings("scaled:factor=2")
        assert settings == Scaled(2.0) and edge_text(settings) == "scaled:factor=2"
        assert from_saved(saved_text(settings), None) == settings
        assert edge_settings("scaled:times=10,factor=1e-05") == Scaled(1e-05, 10)
        assert edge_text(Scaled(float("inf"), 10)) == "scaled:factor=inf,times=10"
        for text, words in (("times=1.5", "an integer"), ("made=1", "factor, times,")):
            with pytest.raises(ModelError, match=words):
                edge_settings(f"scaled:{text}")
        assert saved_text(Scaled(made=True)) is None
        with pytest.raises(ModelError, match="edges must be given"):
            from_saved(saved_text(Brightest), None)
        with pytest.raises(ModelError, match="for one with dynamic"):
            from_saved("dynamic", settings)
        stage = Stage(complete(2), 4, 4, edges="scaled:factor=2")
        _, adjacency = stage(torch.zeros(1, 4, 5, 5), return_adjacency=True)
        assert adjacency[0, 3, :3].tolist() == [2.0] * 3
        with pytest.raises(ModelError, match="'scaled' exist already"):
            edge_kind("scaled")(Brightest)
        for name in ("Scaled", "a b", "a:b", ""):
            with pytest.raises(ModelError, match="lower-case letters"):
                edge_kind(name)
    finally:
        del KINDS["scaled"]


def test_what_inherits_from_a_kind_is_another() -> None:
    class Halves(Fixed):
        def outgoing(self, node: int, x: Tensor) -> Tensor:
            return x.new_full((1, len(self.plan.weighted(node))), 0.5)

    assert not is_static(Halves) and saved_text(Halves) is None
    with pytest.raises(ModelError, match="cannot become"):
        convert(tiny(Halves), edges="learned")


class OpenByPosition(EdgeWeights):
    """Weighs edges by sample, and opens them by position."""

    can_close = True

    def outgoing(self, node: int, x: Tensor) -> Gated:
        weights = torch.arange(1.0, 1 + len(x), device=x.device)[:, None]
        is_open = (x > 0).any(-1, keepdim=True)[:, None]
        return Gated(weights, is_open)


def test_what_is_open_may_have_other_axes_than_weights() -> None:
    stage = Stage(
        vgg(1),
        1,
        1,
        channel_axis=-1,
        operation=lambda *_: nn.Identity(),
        output="sum",
        edges=OpenByPosition,
    )
    x = torch.tensor([[1.0, -1, 1], [1, 1, -1], [-1, 1, 1]])[..., None]
    for training in (True, False):  # the strongest edge of a node stays open
        y = stage.train(training)(x)
        samples = torch.arange(1.0, 4.0).view(3, 1, 1)
        torch.testing.assert_close(y, x * samples.square())


class ByPosition(EdgeWeights):
    """Weighs inputs at each position by their mean over channels."""

    def incoming(self, node: int, inputs: Sequence[Tensor], weights: Tensor) -> Tensor:
        return torch.stack([x.mean(1, keepdim=True) for x in inputs], 1)


def test_the_receiver_has_the_last_word() -> None:
    for output, last in (("sum", [1 / 6, 1 / 3, 1 / 2]), ("mean", [1 / 3] * 3)):
        stage = Stage(complete(2), 4, 4, output=output, edges=Both)
        _, adjacency = stage(torch.randn(1, 4, 5, 5), return_adjacency=True)
        torch.testing.assert_close(adjacency[0, 3, :3], torch.tensor(last))


def test_where_the_input_has_another_stride_its_edge_is_weighed_by_the_mean() -> None:
    stage = Stage(complete(2), 3, 4, stride=2, edges=ByPosition).eval()
    x = torch.randn(2, 3, 6, 6)
    _, adjacency = stage(x, return_adjacency=True)
    assert adjacency.shape == (2, 4, 4, 1, 3, 3)
    wanted = x.mean((1, 2, 3)).view(2, 1, 1, 1).expand(2, 1, 3, 3)
    torch.testing.assert_close(adjacency[:, 1, 0], wanted)


ONES = torch.ones


@pytest.mark.parametrize("side", ["outgoing", "incoming"])
@pytest.mark.parametrize(
    "answer",
    [
        *map(ONES, ((1, 9), (3, 1), (1,), (2, 1, 3, 1, 1), (2, 1, 1, 1))),
        *(Gated(ONES(1, 2), ONES(shape) > 0) for shape in ((3, 1), (2, 9), (2, 1, 4))),
        *(None, 1.0, [1.0]),
    ],
    ids=lambda answer: str(getattr(answer, "shape", answer)),
)
def test_weights_that_do_not_broadcast_are_named(
    side: str, answer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    monkeypatch.setattr(Both, side, lambda *_: answer)
    network = Network(
        nn.Identity(),
        [Stage(complete(1), 4, 4, edges=Both)],
        nn.Flatten(),
        in_channels=4,
    )
    got = getattr(answer, "shape", None)
    with pytest.raises(ModelError) as error:
        network(torch.randn(2, 4, 5, 5))
    message = str(error.value)
    assert "which edges are open" in message and "of stage 1" in message
    if not isinstance(answer, Gated):
        assert (type(answer).__name__ if got is None else str(tuple(got))) in message


def two_layers(channels: int, fan_out: int) -> nn.Module:
    return nn.Sequential(
        nn.Linear(channels, 6), nn.GELU(), nn.Linear(6, fan_out), nn.Sigmoid()
    )


def test_another_router_keeps_gates_and_is_counted() -> None:
    for per in ("sample", "position"):
        edges = Dynamic(router=two_layers, gate="hard", threshold=0.5, per=per)
        model = tiny(edges).eval()
        work = cost(model, 16).work[0]
        positions, pooling = (1, 256) if per == "sample" else (64, 0)
        wanted = [positions * (4 * 6 + 6 * out) + pooling for out in (4, 3, 2, 1)]
        assert list(work.weighing) == [*wanted, 0]
        x = torch.randn(4, 3, 16, 16)
        with torch.no_grad():
            y, adjacency = model(x, return_adjacency=True)
            given = model(x, adjacency=adjacency)
        torch.testing.assert_close(given, y)
        if any((matrix[:, 4] == 0).all(0).any() for matrix in adjacency):
            with pytest.raises(ModelError, match="router of your own"):
                prune(model, [x])
        assert saved_text(edges) is None and "two_layers" in edge_text(edges)
