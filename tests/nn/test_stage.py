"""Laws of a stage: it is the naive loop, and static wirings are its constant case."""

import gc
import weakref
from typing import Any

import jaxtyping
import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import (
    barabasi_albert,
    complete,
    erdos_renyi,
    residual,
    resnet,
    streams,
    vgg,
    watts_strogatz,
)
from ddw_graph.nn.dynamic import Dynamic, DynamicWeights, Router
from ddw_graph.nn.gates import GATES
from ddw_graph.nn.network import Network
from ddw_graph.nn.plan import plan
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import LearnedWeights
from tests.nn.naive import expanded, naive_stage
from tests.strategies import wirings


def lively(stage: Stage, seed: int = 0) -> Stage:
    """Returns the stage in float64 with weights, statistics and gates all spread."""
    generator = torch.Generator().manual_seed(seed)
    stage = stage.double()
    for name, parameter in stage.named_parameters():
        spread = 3.0 if "routers" in name else 0.5
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        parameter.data = noise * spread + (0.5 if "threshold" in name else 0.0)
    for name, buffer in stage.named_buffers():
        if "running_var" in name:
            buffer.uniform_(0.5, 2, generator=generator)
        elif "running_mean" in name:
            buffer.normal_(generator=generator)
    return stage


def images(*shape: int, seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


KINDS = [
    "fixed",
    "learned",
    "learned:form=free",
    "learned:form=softmax",
    *(f"dynamic:gate={gate}" for gate in GATES),
    "dynamic:norm=rms",
    "dynamic:per=position",
    "dynamic:per=position,gate=hard,norm=rms",
    "attention",
    "receiver",
]


def linear(in_channels: int, channels: int, stride: int) -> nn.Module:
    """Returns an operation on features with their channels last."""
    return nn.Sequential(nn.Linear(in_channels, channels), nn.Tanh())


def assert_equals_the_loop(stage: Stage, x: Tensor) -> None:
    """Compares with the naive loop, with gradients and without."""
    y, adjacency = stage(x, return_adjacency=True)
    expected, matrices = naive_stage(stage, x)
    torch.testing.assert_close(y, expected, rtol=1e-12, atol=1e-12)
    adjacency = expanded(adjacency, matrices)
    torch.testing.assert_close(adjacency, matrices, rtol=1e-12, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(stage(x), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("layout", ["images", "tokens"])
@pytest.mark.parametrize("edges", KINDS)
@given(
    dag=wirings(identity=True),
    seed=st.integers(0, 999),
    mean=st.booleans(),
    scaled=st.booleans(),
)
def test_equals_the_loop_over_samples_and_edges(
    edges: str, layout: str, dag: nx.DiGraph, seed: int, mean: bool, scaled: bool
) -> None:
    shape: tuple[int, ...]
    settings: dict[str, Any] = {"edges": edges, "output": "mean" if mean else "sum"}
    if scaled and edges not in ("fixed", "receiver"):
        weighted = plan(dag, output=settings["output"]).weighted_edges
        settings["neutral"] = weighted[: seed % 7]
    if layout == "images":
        if seed % 2:
            settings |= {"entrance": nn.Conv2d(3, 3, 1), "exit": nn.Tanh()}
        stage, shape = Stage(dag, 3, 4, stride=2, **settings), (3, 3, 6, 6)
    else:
        settings |= {"operation": linear, "projection": linear, "channel_axis": -1}
        stage, shape = Stage(dag, 3, 4, **settings), (3, 5, 3)
    assert_equals_the_loop(lively(stage, seed).eval(), images(*shape, seed=seed))


@pytest.mark.parametrize("edges", KINDS)
@given(dag=wirings())
def test_its_adjacency_can_be_given_back(edges: str, dag: nx.DiGraph) -> None:
    stage = lively(Stage(dag, 3, 4, stride=2, edges=edges)).eval()
    x = images(3, 3, 6, 6)
    y, adjacency = stage(x, return_adjacency=True)
    again, same = stage(x, adjacency=adjacency, return_adjacency=True)
    torch.testing.assert_close(again, y)
    torch.testing.assert_close(same, adjacency)


@given(dag=wirings(), seed=st.integers(0, 999))
def test_constant_routers_equal_learned_weights(dag: nx.DiGraph, seed: int) -> None:
    torch.manual_seed(seed)
    dynamic = Stage(dag, 4, 4, edges=Dynamic(gate="none", router_std=0)).double()
    learned = Stage(dag, 4, 4, edges="learned").double()
    learned.load_state_dict(dynamic.state_dict(), strict=False)
    assert isinstance(learned.weights, LearnedWeights)
    learned.weights.logit.data.normal_()
    assert isinstance(dynamic.weights, DynamicWeights)
    routers = [
        (int(node), router.linear)
        for node, router in dynamic.weights.routers.items()
        if isinstance(router, Router)
    ]
    for node, linear in routers:
        place = dynamic.plan.weighted_places[node]
        linear.bias.data = learned.weights.logit.data[place].clone()
    x, grad = images(2, 4, 5, 5), images(2, 4, 5, 5, seed=2)
    results = []
    for stage in (dynamic, learned):
        y, adjacency = stage(x, return_adjacency=True)
        y.backward(grad)
        operations = [p.grad for p in stage.operations.parameters()]
        results.append((y, adjacency, operations))
    torch.testing.assert_close(results[0], results[1], rtol=1e-10, atol=1e-10)
    biases = [linear.bias.grad for _, linear in sorted(routers, key=lambda r: r[0])]
    if biases:
        found = torch.cat([bias for bias in biases if bias is not None])
        torch.testing.assert_close(found, learned.weights.logit.grad)


def test_chains_and_residual_dags_are_sequences_and_additive_blocks() -> None:
    chain = lively(Stage(vgg(4), 3, 4, stride=2, edges="fixed")).eval()
    x = images(2, 3, 6, 6)
    torch.testing.assert_close(chain(x), nn.Sequential(*chain.operations)(x))
    stage = lively(Stage(residual(4), 3, 4, edges="fixed", operation="basic")).eval()
    y = stage.operations[0](x)
    for branch in list(stage.operations)[1:]:
        y = y + branch(y)
    torch.testing.assert_close(stage(x), y, rtol=1e-12, atol=1e-12)


class InPlace(nn.Module):
    """Works in place on what it is given; its gradient needs what it returns."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(2).sigmoid()


@pytest.mark.parametrize("edges", ["fixed", "learned", "dynamic"])
def test_an_operation_may_work_in_place(edges: str) -> None:
    stage = Stage(vgg(3), 4, 4, edges=edges, operation=lambda *_: InPlace())
    x = torch.randn(2, 4, 5, 5, requires_grad=True)
    before = x.detach().clone()
    y = stage(x)
    y.sum().backward()
    assert torch.equal(x.detach(), before) and x.grad is not None
    with torch.no_grad():
        torch.testing.assert_close(stage(x), y)
    if edges == "fixed":
        wanted = (2 * (2 * (2 * before).sigmoid()).sigmoid()).sigmoid()
        torch.testing.assert_close(y, wanted)


@pytest.mark.parametrize("edges", ["fixed", "learned", "dynamic:gate=none"])
@pytest.mark.parametrize("cut", [(0, 3), (1, 2), (1, 3), (2, 5), (0, 5)])
def test_an_edge_at_zero_is_no_edge(edges: str, cut: tuple[int, int]) -> None:
    whole = lively(Stage(complete(4), 3, 4, stride=2, edges=edges)).eval()
    fewer = complete(4)
    fewer.remove_edge(*cut)
    stage = Stage(fewer, 3, 4, stride=2, edges=edges, transition="input", output="sum")
    stage = stage.double().eval()
    weights = whole.state_dict()
    x = images(2, 3, 6, 6)
    _, adjacency = whole(x, return_adjacency=True)
    adjacency[:, cut[1], cut[0]] = 0
    shared = {k: v for k, v in weights.items() if not k.startswith("weights")}
    stage.load_state_dict(shared, strict=False)
    y, _ = stage(x, adjacency=adjacency, return_adjacency=True)
    torch.testing.assert_close(whole(x, adjacency=adjacency), y)


@pytest.mark.parametrize("gate", ["psi", "hard", "eq5"])
@given(dag=wirings(), seed=st.integers(0, 99))
def test_a_path_survives_for_every_sample(
    gate: str, dag: nx.DiGraph, seed: int
) -> None:
    # With thresholds of 2, above any sigmoid, every gate asks to close every edge.
    settings = Dynamic(gate=gate, threshold=2.0, router_std=1.0)
    torch.manual_seed(seed)
    stage = Stage(dag, 3, 4, stride=2, edges=settings, output="sum").double().eval()
    x = images(5, 3, 6, 6, seed=seed)
    _, adjacency = stage(x, return_adjacency=True)
    last = dag.number_of_nodes() - 1
    for matrix in adjacency:
        kept: nx.DiGraph = nx.from_numpy_array(
            matrix.detach().T.numpy(), create_using=nx.DiGraph
        )
        assert nx.has_path(kept, 0, last)
        # Alive nodes keep one edge each here, dead ones none.
        assert all(degree <= 1 for _, degree in kept.out_degree())
        reached = nx.descendants(kept, 0) | {0}
        assert {i for i, _ in kept.edges} <= reached


def test_every_parameter_gets_a_gradient() -> None:
    dags = (
        complete(4),
        vgg(3),
        resnet(4),
        watts_strogatz(8, 4, 0.75, seed=0),
        barabasi_albert(8, 5, seed=0),
        erdos_renyi(8, 0.2, seed=0),
    )
    for dag in dags:
        for edges in ("fixed", "learned", *(f"dynamic:gate={gate}" for gate in GATES)):
            stage = Stage(dag, 3, 4, stride=2, edges=edges)
            stage(torch.randn(4, 3, 8, 8)).square().mean().backward()
            missing = [n for n, p in stage.named_parameters() if p.grad is None]
            assert missing == [], (edges, list(dag.edges))
            weights = list(stage.weights.parameters())
            assert all(p.grad is not None and p.grad.abs().sum() for p in weights)


@pytest.mark.parametrize(
    ("channels", "size"), [(1, 2), pytest.param(2, 3, marks=pytest.mark.full)]
)
@pytest.mark.parametrize("gate", GATES)
def test_gradients_and_second_derivatives(gate: str, channels: int, size: int) -> None:
    stage = Stage(complete(2), channels, channels, edges=Dynamic(gate=gate))
    stage = lively(stage).eval()
    x = images(2, channels, size, size)
    names = [name for name, _ in stage.named_parameters()]

    def run(*values: Tensor) -> Tensor:
        y: Tensor = torch.func.functional_call(
            stage, dict(zip(names, values[1:], strict=True)), (values[0],)
        )
        return y

    inputs = (x, *(p.detach().clone() for p in stage.parameters()))
    for value in inputs:
        value.requires_grad_()
    assert torch.autograd.gradcheck(run, inputs)
    assert torch.autograd.gradgradcheck(run, inputs, atol=1e-4)


def test_hard_gates_pass_the_gradient_straight_through() -> None:
    closing = Dynamic(gate="hard", threshold=0.9, bias=0.0, router_std=0.5)
    stage = Stage(complete(3), 4, 4, edges=closing)
    _, adjacency = stage(torch.randn(4, 4, 6, 6), return_adjacency=True)
    assert (adjacency[:, 1:, 0] == 0).any()
    adjacency[:, 4, 0].sum().backward()
    router = stage.weights.routers["0"].linear  # type: ignore[union-attr,index]
    assert router.bias.grad[3] > 0


def test_nothing_of_the_graph_stays_alive() -> None:
    stage = Stage(complete(3), 4, 4, edges="dynamic")
    kept: list[weakref.ref[Tensor]] = []
    stage.operations[1].register_forward_hook(
        lambda module, inputs, output: kept.append(weakref.ref(output))
    )
    y, adjacency = stage(torch.randn(2, 4, 6, 6), return_adjacency=True)
    kept += [weakref.ref(y), weakref.ref(adjacency)]
    (y.mean() + adjacency.mean()).backward()
    del y, adjacency
    gc.collect()
    assert [ref() for ref in kept] == [None] * 3


def test_outputs_that_nobody_reads_on_are_let_go() -> None:
    stage = Stage(vgg(6), 4, 4, edges="fixed").eval()
    kept: list[weakref.ref[Tensor]] = []
    alive = []

    def note(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        alive.append(sum(ref() is not None for ref in kept))
        kept.append(weakref.ref(output))

    for operation in stage.operations:
        operation.register_forward_hook(note)
    with torch.no_grad():
        stage(torch.randn(2, 4, 6, 6))
    assert max(alive) <= 1


def test_droppath_closes_one_input_and_leaves_the_others() -> None:
    stage = Stage(complete(4), 4, 4, edges="learned", drop_path=1.0)
    assert isinstance(stage.weights, LearnedWeights)
    stage.weights.logit.data.normal_()
    x = torch.randn(64, 4, 4, 4)
    _, adjacency = stage(x, return_adjacency=True)
    _, whole = stage.eval()(x, return_adjacency=True)
    dropped = (adjacency == 0) & (whole != 0)
    torch.testing.assert_close(adjacency[~dropped], whole[~dropped])
    for node in range(2, 5):
        lost = dropped[:, node, :node]
        assert (lost.sum(1) == 1).all() and lost.any(0).all()
    assert not dropped[:, 1].any() and not dropped[:, 5].any()


def test_droppath_spares_identity_nodes() -> None:
    dag = streams(3, 2)
    nx.set_edge_attributes(dag, 1.0, "weight")
    stage = Stage(dag, 4, 4, edges="learned", drop_path=1.0)
    _, adjacency = stage(torch.randn(64, 4, 4, 4), return_adjacency=True)
    stage.drop_path = 0.0
    _, whole = stage(torch.randn(1, 4, 4, 4), return_adjacency=True)
    same = (adjacency == whole).all(2).all(0)
    assert same.tolist() == [*[True] * 4, False, *[True] * 2, False, True]


def test_droppath_never_takes_the_only_open_input() -> None:
    closing = Dynamic(gate="hard", threshold=2.0, router_std=1.0)
    stage = Stage(complete(5), 4, 4, edges=closing, drop_path=1.0)
    _, adjacency = stage(torch.randn(128, 4, 4, 4), return_adjacency=True)
    emits = (adjacency[:, :, 1:6] != 0).any(1)
    hears = (adjacency[:, 1:6] != 0).any(2)
    assert torch.equal(emits, hears)


NEUTRAL = {"neutral": [(0, 1)]}
HEAVY = vgg(2)
HEAVY.edges[1, 2]["weight"] = 2


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"edges": "static"}, "receiver, sinkhorn, got 'static'; .* import the module"),
        ({"edges": "dynamic:gate=soft"}, "psi, hard, eq5, none, got 'soft'"),
        ({"edges": "dynamic:router=mine"}, "per, norm, got 'router=mine'"),
        ({"edges": "dynamic:bias=high"}, "bias must be a number, got 'high'"),
        ({"edges": "dynamic:router_std=-1"}, "router_std must be at least 0, got -1"),
        ({"edges": "learned:form=free,bias=1"}, "bias is for form=sigmoid, got bias=1"),
        ({"edges": "attention:heads=2"}, "with the keys none, got 'heads=2'"),
        ({"edges": None}, "edges must be a name, .* got None"),
        ({"edges": lambda plan, channels: nn.Identity()}, "return .* got Identity"),
        ({"operation": "conv"}, "sepconv, basic, got 'conv'"),
        ({"operation": lambda node: "conv"}, "sepconv, basic, got 'conv'"),
        ({"operation": ["basic"] * 2}, "each of the 3 nodes .* got 2"),
        ({"operation": nn.Conv2d(4, 4, 1)}, "got 1"),
        ({"operation": ["basic", None, "basic"]}, "a callable .* got None"),
        ({"channel_axis": -1, "operation": [linear, "basic", linear]}, "'basic'"),
        ({"channel_axis": -1, "operation": linear, "channels": 8}, "projection="),
        ({"channel_axis": -1, "operation": linear, "stride": 2}, "projection="),
        ({"transition": "exit"}, "sources, input, got 'exit'"),
        ({"transition": "sources"}, "got node 2 with the inputs 0, 1"),
        ({"output": "max"}, "sum, mean, got 'max'"),
        ({"drop_path": 1.5}, r"\[0, 1\], got 1.5"),
        ({"stride": 0}, "stride must be at least 1, got 0"),
        ({"dag": vgg(2), "neutral": [(0, 2)]}, "each with a weight, got none for 0 ->"),
        ({"output": "mean", **NEUTRAL}, "each with a weight, got none for 0 -> 1"),
        ({"edges": "dynamic:threshold=0.96", **NEUTRAL}, r"sigmoid\(3.0\) < 0.96"),
        ({"edges": "dynamic:bias=-1000", **NEUTRAL}, "the bias is too low"),
        ({"edges": "fixed", **NEUTRAL}, "fixed edges weigh 1, .* in 0 -> 2"),
        ({"dag": HEAVY, "edges": "fixed", **NEUTRAL}, "weigh 1, got .* weight"),
    ],
)
def test_what_no_stage_can_be_made_of_is_named(
    settings: dict[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    settings = {"dag": complete(3), "in_channels": 4, "channels": 4, **settings}
    with pytest.raises(ModelError, match=words):
        Stage(**settings)


def test_a_network_needs_a_stage() -> None:
    with pytest.raises(ModelError, match="at least one stage, got none"):
        Network(nn.Identity(), [], nn.Flatten())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m[:, :3, :3], r"\(1 or 2, 4, 4\), .* got \(2, 3, 3\)"),
        (lambda m: m.transpose(1, 2), "for 1 -> 0 of sample 0"),
        (lambda m: m * float("nan"), "finite"),
        (lambda m: m[0], r"got \(4, 4\)"),
        (lambda m: m[..., None, None, None].expand(-1, -1, -1, 1, 5, 4), "5, 4"),
    ],
)
def test_names_the_adjacency_that_it_rejects(change: Any, message: str) -> None:
    stage = Stage(complete(2), 3, 3)
    with pytest.raises(ModelError, match=message):
        stage(torch.zeros(2, 3, 4, 4), adjacency=change(torch.ones(2, 4, 4).tril(-1)))


LAYOUTS: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "images": ({"operation": "sepconv"}, (2, 4, 5, 5)),
    "series": ({"operation": lambda i, o, s: nn.Conv1d(i, o, 3, s, 1)}, (2, 4, 5)),
    "tokens": ({"operation": linear, "channel_axis": -1}, (2, 5, 4)),
    "any": ({"operation": lambda *_: nn.Tanh()}, (2, 4, 5, 5, 5)),
}


class Shaped(nn.Module):
    """Returns features of a shape, whatever it is given."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(self.shape)


@pytest.mark.parametrize(
    ("layout", "shape", "node"),
    [
        *(("images", each, 0) for each in ((4, 5, 5), (2, 3, 5, 5), (2, 4, 5, 5, 5))),
        *(("series", each, 0) for each in ((4, 5), (2, 4, 5, 5))),
        *(("tokens", each, 0) for each in ((4,), (2, 5, 3))),
        *(("any", each, 0) for each in ((4,), (2, 3, 5))),
        ("images", (4, 5, 5), 2),  # of another rank
        ("images", (2, 3, 5, 5), 2),  # of another width
        ("images", (1, 4, 5, 5), 2),  # of another batch
        ("images", (2, 4, 3, 3), 3),  # of other sizes, where they are added
        ("tokens", (2, 5, 3), 2),
    ],
)
def test_features_that_do_not_fit_are_named(
    layout: str, shape: tuple[int, ...], node: int
) -> None:
    settings, fits = LAYOUTS[layout]
    if node:
        settings = settings | {"operation": [settings["operation"], Shaped(*shape)]}
    stages = [Stage(complete(2), 4, 4, edges="fixed", **settings) for _ in range(2)]
    stage = Network(nn.Identity(), stages, nn.Identity(), in_channels=4).stages[1]
    with pytest.raises(ModelError) as error:
        stage(torch.zeros(fits if node else shape))
    words = str(error.value)
    assert str(shape) in words and "\n" not in words
    assert (f"node {node} of stage 2" if node else "the input of stage 2") in words


def test_features_are_tensors_of_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)

    class Pair(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x

    stage = Stage(vgg(1), 4, 4, edges="fixed", operation=Pair())
    with pytest.raises(ModelError, match="floats .* got torch.int64"):
        stage(torch.ones(2, 4, 5, 5, dtype=torch.int64))
    with pytest.raises(ModelError, match="tensor .* got tuple for what node 1"):
        stage(torch.randn(2, 4, 5, 5))


def test_later_changes_of_the_dag_do_not_reach_the_stage() -> None:
    dag = complete(2)
    stage = Stage(dag, 4, 4)
    dag.remove_edge(0, 2)
    assert stage.dag.has_edge(0, 2)
    with pytest.raises(nx.NetworkXError, match="[Ff]rozen"):
        stage.dag.remove_edge(0, 2)
