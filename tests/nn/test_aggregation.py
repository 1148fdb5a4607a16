"""Aggregation in place is the reference, in what it computes and in what it keeps."""

import copy
import gc
import subprocess
import sys
from collections.abc import Callable

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ddw_graph import Stage, create_model
from ddw_graph.generators import complete, vgg
from ddw_graph.nn import aggregation
from ddw_graph.nn.aggregation import (
    Signal,
    fanned_out,
    gathered,
    reference,
    weighted_sum,
)
from ddw_graph.nn.gates import GATES
from tests.nn.test_stage import images, lively
from tests.strategies import wirings

EDGES = ["fixed", "learned", *(f"dynamic:gate={gate}" for gate in GATES)]


def inputs(count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    made = [images(3, 4, 5, 6, seed=seed).to(dtype) for seed in range(count)]
    return [each.requires_grad_() for each in made]


def naive(features: list[Tensor], weights: Tensor) -> Tensor:
    total = torch.zeros_like(features[0])
    for x, column in zip(features, weights.unbind(1), strict=True):
        total = total + x * column[:, None, None, None]
    return total


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_sum_and_its_gradients_are_those_of_the_naive_loop(
    count: int, rows: int, dtype: torch.dtype, tolerance: float
) -> None:
    features = inputs(count, dtype)
    weights = images(rows, count).to(dtype).requires_grad_()
    grad = images(3, 4, 5, 6, seed=99).to(dtype)
    results = []
    for run in (weighted_sum, naive):
        total = run(features, weights)
        grads = torch.autograd.grad(total, [weights, *features], grad)
        results.append([total.detach(), *grads])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("dtype", "unit"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)]
)
@pytest.mark.parametrize("count", [1, 2, 24])
def test_half_precision_keeps_the_stated_bound(
    count: int, dtype: torch.dtype, unit: float
) -> None:
    features = [x.detach() for x in inputs(count, dtype)]
    weights = images(3, count).to(dtype)
    found = weighted_sum(features, weights)
    assert found.dtype == dtype
    exact = [x.double() for x in features]
    wanted = naive(exact, weights.double())
    bound = naive([x.abs() for x in exact], weights.double().abs())
    assert ((found.double() - wanted).abs() <= (count + 1) * unit * bound).all()


@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_are_right_by_differences(rows: int) -> None:
    def run(weights: Tensor, *features: Tensor) -> Tensor:
        return weighted_sum(features, weights)

    drawn = [images(2, 3, 2, 2, seed=seed) for seed in range(3)]
    values = [images(rows, 3), *drawn]
    for value in values:
        value.requires_grad_()
    assert torch.autograd.gradcheck(run, values)
    with reference():
        assert torch.autograd.gradcheck(run, values)
        assert torch.autograd.gradgradcheck(run, values)


def test_a_second_derivative_is_refused_and_never_wrong() -> None:
    stage = Stage(complete(2), 2, 2).double()
    x = images(2, 2, 3, 3).requires_grad_()
    # A constant gradient comes in: nothing of it tells that it will be differentiated.
    with pytest.raises(RuntimeError, match=r"within .*reference\(\), got one without"):
        torch.autograd.grad(stage(x).sum(), x, create_graph=True)
    with reference():
        (first,) = torch.autograd.grad(stage(x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), x)
    assert second.abs().sum() > 0


def compared(
    stage: nn.Module, x: Tensor, run: Callable[[nn.Module, Tensor], Tensor]
) -> list[dict[str, Tensor]]:
    """Returns outputs, gradients and buffers of both forms of aggregation."""
    results = []
    for fast in (True, False):
        twin, own = copy.deepcopy(stage), x.clone().requires_grad_()
        torch.manual_seed(0)
        if fast:
            y = run(twin, own)
        else:
            with reference():
                y = run(twin, own)
        grad = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).view_as(y)
        torch.autograd.backward(y, grad)
        assert own.grad is not None
        grads = {n: p.grad for n, p in twin.named_parameters() if p.grad is not None}
        buffers = {f"{n}, buffer": b for n, b in twin.named_buffers()}
        results.append({"y": y.detach(), "x": own.grad, **grads, **buffers})
    return results


@pytest.mark.parametrize("output", ["sum", "mean"])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("edges", EDGES)
@given(dag=wirings(), seed=st.integers(0, 999))
def test_a_stage_is_its_reference(
    edges: str, training: bool, output: str, dag: nx.DiGraph, seed: int
) -> None:
    stage = lively(Stage(dag, 3, 4, stride=2, edges=edges, output=output), seed)
    fast, wanted = compared(
        stage.train(training), images(3, 3, 6, 6, seed=seed), lambda m, x: m(x)
    )
    assert fast.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-10, atol=1e-10)


@given(dag=wirings(), seed=st.integers(0, 99))
def test_a_stage_with_droppath_is_its_reference(dag: nx.DiGraph, seed: int) -> None:
    stage = lively(Stage(dag, 3, 4, edges="learned", drop_path=0.7), seed).train()
    fast, wanted = compared(stage, images(5, 3, 6, 6, seed=seed), lambda m, x: m(x))
    for name, value in wanted.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("edges", ["learned", "dynamic:gate=hard"])
def test_a_loss_on_the_adjacency_joins_that_of_the_output(edges: str) -> None:
    def run(stage: nn.Module, x: Tensor) -> Tensor:
        y, adjacency = stage(x, return_adjacency=True)
        total: Tensor = y.sum() + adjacency.square().sum()
        return total

    stage = lively(Stage(complete(3), 3, 4, stride=2, edges=edges)).train()
    fast, wanted = compared(stage, images(3, 3, 6, 6), run)
    torch.testing.assert_close(fast, wanted, rtol=1e-10, atol=1e-10)


def test_a_given_adjacency_gets_its_gradient() -> None:
    stage = lively(Stage(complete(3), 3, 4, stride=2)).eval()
    x = images(2, 3, 6, 6)
    matrix = images(2, 5, 5).tril(-1).requires_grad_()
    y = stage(x, adjacency=matrix)
    (found,) = torch.autograd.grad(y.square().sum(), matrix)
    with reference():
        y = stage(x, adjacency=matrix)
    (wanted,) = torch.autograd.grad(y.square().sum(), matrix)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert torch.equal(found != 0, torch.ones_like(found).tril(-1).bool())


@pytest.mark.parametrize("edges", ["fixed", "learned", "dynamic:gate=hard"])
def test_small_features_are_summed_plainly_to_the_same(
    edges: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = lively(Stage(complete(3), 3, 4, stride=2, edges=edges)).train()
    x = images(3, 3, 6, 6)
    # The input is large enough for the fast form, and what is inside is not.
    for small, name in ((0, "_GatherBackward"), (3 * 3 * 6 * 6, "AddcmulBackward0")):
        monkeypatch.setattr(aggregation, "SMALL", small)
        y = copy.deepcopy(stage)(x.clone().requires_grad_())
        assert y.grad_fn.name() == name
        fast, wanted = compared(stage, x, lambda m, x: m(x))
        for key, value in wanted.items():
            torch.testing.assert_close(fast[key], value, rtol=1e-10, atol=1e-10)


def test_a_part_of_the_graph_may_be_gone_through_alone_and_again() -> None:
    stage = lively(Stage(complete(4), 3, 4, stride=2)).train()
    inner: list[Tensor] = []
    stage.operations[1].register_forward_hook(lambda m, i, o: inner.append(o))
    x = images(3, 3, 6, 6).requires_grad_()
    wanted = []
    with reference():
        y = stage(x)
        wanted = [
            torch.autograd.grad(each.square().sum(), x, retain_graph=True)[0]
            for each in (y, inner[-1], y)
        ]
    y = stage(x)
    found = [
        torch.autograd.grad(each.square().sum(), x, retain_graph=True)[0]
        for each in (y, inner[-1], y)
    ]
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def saved_features(stage: nn.Module, x: Tensor) -> int:
    """Returns how many tensors of the size of features a forward pass saves."""
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.ndim == 4 and tensor.shape[2:] == x.shape[2:]:
            kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        y = stage(x)
    del y
    return len(kept)


def test_nothing_is_saved_twice_and_normalised_features_not_at_all() -> None:
    # A node saves what its sum is after ReLU, what it is between its two convolutions,
    # and what the second makes; the stage's input is one more.
    x = torch.randn(2, 4, 6, 6)
    for n in (2, 4, 6):
        stage = Stage(complete(n), 4, 4, edges="dynamic").train()
        assert saved_features(stage, x) == 3 * n + 1
        with reference():
            assert saved_features(stage, x) > 4 * n


@pytest.mark.parametrize("mode", ["training", "frozen", "average"])
def test_computing_again_changes_nothing_but_what_is_kept(mode: str) -> None:
    stage = Stage(complete(4), 4, 4, edges="dynamic", drop_path=0.5).train()
    for norm in stage.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.train(mode != "frozen")
            norm.momentum = None if mode == "average" else 0.1
    x = torch.randn(2, 4, 6, 6)
    results = []
    for recompute in (False, True):
        twin = copy.deepcopy(stage)
        twin.recompute = recompute
        assert (saved_features(copy.deepcopy(twin), x) < 3) == recompute
        own = x.clone().requires_grad_()
        torch.manual_seed(0)
        y, adjacency = twin(own, return_adjacency=True)
        torch.autograd.backward(y.square().sum() + adjacency.sum())
        grads = [p.grad for p in twin.parameters()]
        results.append([y.detach(), own.grad, *grads, *twin.buffers()])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)


def tensors() -> int:
    return sum(issubclass(type(each), Tensor) for each in gc.get_objects())


def test_gradients_of_sums_are_let_go_with_the_graph() -> None:
    stage = Stage(complete(4), 4, 4).train()
    gc.collect()
    before = tensors()
    for _ in range(3):
        stage(torch.randn(2, 4, 6, 6)).sum().backward()
        stage.zero_grad()
    gc.collect()
    assert tensors() <= before + 2


def test_a_fan_out_without_edges_and_one_that_learns_nothing() -> None:
    x = torch.ones(1, 2, 3, 3)
    assert fanned_out(Signal(x), torch.ones(1, 0), 0) == []
    edges = fanned_out(Signal(x), torch.ones(1, 2), 2)
    assert [edge.x is x for edge in edges] == [True, True]
    total = gathered(edges, torch.tensor([[2.0, 3.0]]))
    assert total.eq(5).all() and x.eq(1).all()


def test_channels_last_stays() -> None:
    model = create_model("randwire_tiny", n=4, channels=8, edges="dynamic")
    model = model.to(memory_format=torch.channels_last)
    seen: list[bool] = []
    for stage in model.stages:
        stage.operations[2].register_forward_pre_hook(
            lambda module, given: seen.append(
                given[0].is_contiguous(memory_format=torch.channels_last)
            )
        )
    x = torch.randn(2, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    model(x).sum().backward()
    with torch.no_grad():
        model.eval()(x)
    assert seen == [True] * 6


def test_mixed_precision_rounds_no_shift_of_a_sum() -> None:
    signals = [
        Signal(images(3, 4, 5, 6, seed=i).float(), torch.rand(4), torch.randn(4))
        for i in range(3)
    ]
    weights = torch.rand(3, 3)
    wanted = gathered(signals, weights)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gathered(signals, weights), wanted)


@pytest.mark.parametrize("edges", ["learned", "dynamic"])
def test_mixed_precision_is_close_and_routers_stay_precise(edges: str) -> None:
    model = create_model(
        "randwire_tiny", wiring="complete", n=4, channels=8, edges=edges
    ).eval()
    x = torch.randn(4, 3, 32, 32)
    wanted, precise = model(x, return_adjacency=True)
    for training in (False, True):
        with (
            torch.autocast("cpu", dtype=torch.bfloat16),
            torch.set_grad_enabled(training),
        ):
            logits, adjacency = model(x, return_adjacency=True)
        for found, matrix in zip(adjacency, precise, strict=True):
            assert found.dtype == torch.float32
            torch.testing.assert_close(found, matrix, rtol=0, atol=2e-3)
        torch.testing.assert_close(logits.float(), wanted, rtol=0, atol=0.1)


COMPILED = """
import torch
from ddw_graph import create_model

model = create_model("randwire_tiny", wiring="complete", n=3, channels=4).eval()
x = torch.randn(2, 3, 16, 16)
compiled = torch.compile(model, backend={backend!r}, fullgraph=True)
torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
model.train()
compiled(x).square().sum().backward()
found = {{name: p.grad for name, p in model.named_parameters()}}
model.zero_grad(set_to_none=True)
model(x).square().sum().backward()
for name, parameter in model.named_parameters():
    torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-4)
print("the same")
"""


@pytest.mark.full
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_network_says_the_same(backend: str) -> None:
    # In a process whose functions do not check shapes, which Dynamo cannot follow.
    code = [sys.executable, "-c", COMPILED.format(backend=backend)]
    run = subprocess.run(code, capture_output=True, text=True)
    assert run.stdout == "the same\n", run.stderr


def test_the_chain_of_fixed_edges_copies_nothing_between_nodes() -> None:
    stage = Stage(vgg(3), 4, 4, edges="fixed").eval()
    emitted, heard = [], []
    for operation in stage.operations:
        operation.register_forward_hook(lambda m, i, o: emitted.append(o.data_ptr()))
        operation.register_forward_pre_hook(lambda m, i: heard.append(i[0].data_ptr()))
    with torch.no_grad():
        stage(torch.randn(1, 4, 5, 5))
    assert heard[1:] == emitted[:-1]
