"""Kernels say what eager PyTorch says, take what they take, and tell what they lack."""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ddw_graph import Stage, create_model
from ddw_graph.generators import complete
from ddw_graph.nn import aggregation, kernels
from ddw_graph.nn.aggregation import Signal, fanned_out, gathered, weighted_sum
from ddw_graph.nn.gates import GATES
from tests.nn.compiled import in_python, need_kernels
from tests.nn.test_aggregation import EDGES, compared, naive
from tests.nn.test_stage import images, lively
from tests.strategies import wirings

FORMATS = {"contiguous": torch.contiguous_format, "last": torch.channels_last}
LAYOUTS = ["contiguous", pytest.param("last", marks=pytest.mark.full)]
# One piece of a sample, several of them, pixels of more channels than a piece holds.
SHAPES = [(3, 4, 5, 6), (2, 40, 11, 13), (1, 2100, 2, 2)]


# The default tier has what calls the kernels, with plain operations in their place.
@pytest.fixture(
    scope="module",
    autouse=True,
    params=["in Python", pytest.param("compiled", marks=pytest.mark.full)],
)
def made(request: pytest.FixtureRequest) -> Iterator[str]:
    """Tells what the kernels are made of."""
    if request.param == "compiled":
        need_kernels()
        yield "compiled"
        return
    with in_python():
        yield "in Python"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tells which kernels were called."""
    called: list[str] = []
    library = torch.ops.ddw_graph

    class Told:
        def __getattr__(self, name: str) -> Any:
            called.append(name)
            return getattr(library, name)

    monkeypatch.setattr(torch.ops, "ddw_graph", Told())
    return called


def features(count: int, shape: tuple[int, ...], layout: str) -> list[Tensor]:
    made = [images(*shape, seed=seed) for seed in range(count)]
    return [x.contiguous(memory_format=FORMATS[layout]) for x in made]


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)]
)
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("count", [1, 2, 3, 4, 9])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", FORMATS)
def test_a_sum_and_its_gradients_are_those_of_the_naive_loop(
    layout: str,
    shape: tuple[int, int, int, int],
    count: int,
    shared: bool,
    dtype: torch.dtype,
    tolerance: float,
    calls: list[str],
) -> None:
    given = [x.to(dtype).requires_grad_() for x in features(count, shape, layout)]
    weights = images(1 if shared else shape[0], count).to(dtype).requires_grad_()
    (grad,) = features(1, shape, layout)
    results = []
    for run in (weighted_sum, naive):
        with kernels.kernels() if run is weighted_sum else nullcontext():
            total = run(given, weights)
            grads = torch.autograd.grad(total, [weights, *given], grad.to(dtype))
        results.append([total.detach(), *grads])
    for found, wanted in zip(*results, strict=True):
        # A weight's gradient is a sum over all elements of a sample.
        size = found.abs().max().item() if found.shape == weights.shape else 1.0
        atol = tolerance * max(1.0, size)
        torch.testing.assert_close(found, wanted, rtol=tolerance, atol=atol)
    assert calls == ["weighted_sum"] + ["fanned_back"] * count


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("layout", FORMATS)
def test_one_gradient_comes_from_all_that_heard_it(layout: str, shared: bool) -> None:
    x, *grads = features(7, (2, 40, 11, 13), layout)
    scale, shift = images(40, seed=8), images(40, seed=9)
    row = images(1 if shared else 2, 6)
    total, dots = kernels.back(x, scale, shift, grads, row, sums=True)
    none, alone = kernels.back(x, scale, shift, grads, row, sums=False)
    y = x * scale[:, None, None] + shift[:, None, None]
    wanted = torch.stack([(y * grad).sum((1, 2, 3)) for grad in grads], dim=1)
    torch.testing.assert_close(dots, wanted, rtol=1e-11, atol=1e-11)
    assert none is None and torch.equal(alone, dots) and total is not None
    torch.testing.assert_close(total, naive(grads, row), rtol=1e-12, atol=1e-12)
    assert total.stride() == x.stride()


@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", FORMATS)
def test_what_normalisation_left_is_made_within_the_sum(
    layout: str, shape: tuple[int, int, int, int], shared: bool
) -> None:
    given = features(6, shape, layout)
    channels = shape[1]
    edges = [
        Signal(x, images(channels, seed=k), images(channels, seed=k + 50))
        if k % 3
        else Signal(x)
        for k, x in enumerate(given)
    ]
    row = images(1 if shared else shape[0], 6)
    with kernels.kernels():
        found = gathered(edges, row)
    wanted = naive([edge.made() for edge in edges], row)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    assert found.stride() == given[0].stride()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("edges", EDGES)
@given(dag=wirings(), seed=st.integers(0, 999))
def test_a_stage_is_its_reference(
    edges: str, training: bool, layout: str, dag: nx.DiGraph, seed: int
) -> None:
    stage = lively(Stage(dag, 3, 4, stride=2, edges=edges, drop_path=0.5), seed)
    stage = stage.train(training).to(memory_format=FORMATS[layout])
    x = images(3, 3, 6, 6, seed=seed).contiguous(memory_format=FORMATS[layout])
    with kernels.kernels():
        fast, wanted = compared(stage, x, lambda m, x: m(x))
    assert fast.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(fast[name], value, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("gate", GATES)
@given(dag=wirings(), seed=st.integers(0, 999))
def test_routers_weigh_and_close_as_they_do_in_eager_pytorch(
    gate: str, layout: str, batch: int, dag: nx.DiGraph, seed: int
) -> None:
    stage = Stage(dag, 3, 70, edges=f"dynamic:gate={gate}")
    stage = lively(stage, seed).eval().to(memory_format=FORMATS[layout])
    x = images(batch, 3, 6, 6, seed=seed).contiguous(memory_format=FORMATS[layout])
    with torch.no_grad():
        wanted = stage(x, return_adjacency=True)
        with kernels.kernels():
            found = stage(x, return_adjacency=True)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert torch.equal(found[1] == 0, wanted[1] == 0)


def test_a_router_that_is_heard_runs_as_it_is(calls: list[str]) -> None:
    stage = Stage(complete(3), 4, 4, edges="dynamic").eval()
    heard: list[Tensor] = []
    router = stage.get_submodule("weights.routers.2.linear")
    listening = router.register_forward_hook(
        lambda module, given, output: heard.append(output)
    )
    with torch.no_grad(), kernels.kernels():
        stage(torch.randn(2, 4, 5, 5))
        assert len(heard) == 1 and calls.count("routed") == 3
        listening.remove()
        stage(torch.randn(2, 4, 5, 5))
    assert len(heard) == 1 and calls.count("routed") == 7


@pytest.mark.parametrize("rows", [1, 2])
def test_gradients_are_right_by_differences(rows: int) -> None:
    def run(weights: Tensor, scale: Tensor, *given: Tensor) -> Tensor:
        ones = [fanned_out(Signal(x), weights, 3) for x in given]
        edges = [each[place] for place, each in enumerate(ones)]
        return gathered(edges, weights) * scale

    drawn = [images(2, 3, 2, 2, seed=seed) for seed in range(3)]
    values = [images(rows, 3), images(1), *drawn]
    for value in values:
        value.requires_grad_()
    with kernels.kernels():
        assert torch.autograd.gradcheck(run, values)


def test_a_second_derivative_is_refused() -> None:
    x = images(2, 2, 3, 3).requires_grad_()
    weights = images(2, 1).requires_grad_()
    with kernels.kernels():
        y = weighted_sum([x], weights)
        with pytest.raises(RuntimeError, match="got one without"):
            torch.autograd.grad(y.sum(), x, create_graph=True)


def test_the_number_of_threads_changes_nothing() -> None:
    given = [x.float() for x in features(5, (3, 40, 31, 31), "contiguous")]
    row, results = images(3, 4).float(), []
    threads = torch.get_num_threads()
    try:
        for count in (1, 2):
            torch.set_num_threads(count)
            total, dots = kernels.back(given[0], None, None, given[1:], row, sums=True)
            assert total is not None
            results.append((total, dots, kernels.total_of(given[1:], row)))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def others() -> dict[str, list[Tensor]]:
    plain = features(2, (2, 4, 6, 5), "contiguous")
    last = features(2, (2, 4, 6, 5), "last")
    return {
        "half precision": [x.bfloat16() for x in plain],
        "mixed types": [plain[0], plain[1].float()],
        "mixed formats": [plain[0], last[1]],
        "every second pixel": [x[:, :, ::2] for x in plain],
        "spread out": [x[:1].expand(2, -1, -1, -1) for x in plain],
        "shapes that broadcast": [plain[0], plain[1][:, :, :1]],
        "no device": [x.to("meta") for x in plain],
        "no samples": [x[:0] for x in plain],
    }


@pytest.mark.parametrize("kind", others())
def test_what_kernels_do_not_take_is_summed_as_without_them(
    kind: str, calls: list[str]
) -> None:
    given = others()[kind]
    row = images(1, 2).to(given[0].device)
    with torch.no_grad():
        wanted = weighted_sum(given, row)
        with kernels.kernels():
            found = weighted_sum(given, row)
    assert not calls
    assert found.dtype == wanted.dtype and found.shape == wanted.shape
    assert found.is_meta or torch.equal(found, wanted)


def test_kernels_are_for_a_while_and_the_reference_goes_before_them(
    calls: list[str],
) -> None:
    x, row = images(1, 2, 3, 3), images(1, 1)
    with torch.no_grad():
        weighted_sum([x], row)
        with kernels.kernels(), aggregation.reference():
            weighted_sum([x], row)
        assert not calls
        with aggregation.reference(), kernels.kernels():
            weighted_sum([x], row)
        assert not calls
        with kernels.kernels():
            weighted_sum([x], row)
    assert calls == ["weighted_sum"]


def test_a_forward_pass_within_has_its_backward_pass_compiled(calls: list[str]) -> None:
    x = images(2, 2, 3, 3).requires_grad_()
    with kernels.kernels():
        y = weighted_sum([x], images(2, 1).requires_grad_())
    torch.autograd.backward(y, torch.ones_like(y))
    assert calls == ["weighted_sum", "fanned_back"]


@pytest.mark.parametrize("layout", FORMATS)
def test_a_network_trains_to_the_same(layout: str) -> None:
    torch.manual_seed(0)
    model = create_model("randwire_tiny", wiring="complete", n=4, channels=8).double()
    x = images(4, 3, 16, 16).contiguous(memory_format=FORMATS[layout])
    trained = []
    for fast in (True, False):
        twin = copy.deepcopy(model).to(memory_format=FORMATS[layout]).train()
        optimizer = torch.optim.SGD(twin.parameters(), lr=0.1)
        with kernels.kernels() if fast else nullcontext():
            for _ in range(3):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(twin(x), torch.arange(4))
                torch.autograd.backward(loss)
                optimizer.step()
        trained.append(twin.state_dict())
    torch.testing.assert_close(*trained, rtol=1e-8, atol=1e-8)


def test_what_is_computed_again_is_computed_by_kernels_again(
    calls: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aggregation, "SMALL", 0)
    stage = Stage(complete(4), 4, 4, edges="dynamic").train().double()
    stage.recompute = True
    with kernels.kernels():
        y = stage(images(2, 4, 6, 6))
    first = calls.count("weighted_sum")
    torch.autograd.backward(y.sum())  # outside
    # All but the last sum, which no gradient needs.
    assert first == 5 and calls.count("weighted_sum") == first + 4
