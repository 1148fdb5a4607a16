"""The sum of a node's inputs, its gradients of any order, and what surrounds it."""

import copy
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ddw_graph import Stage, create_model
from ddw_graph.generators import complete
from ddw_graph.nn.aggregation import gather
from tests.nn.test_stage import KINDS, images, lively


def inputs(count: int, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    made = [images(3, 4, 5, 6, seed=seed).to(dtype) for seed in range(count)]
    return [each.requires_grad_() for each in made]


@pytest.mark.parametrize(
    ("dtype", "unit"), [(torch.bfloat16, 2.0**-8), (torch.float16, 2.0**-11)]
)
@pytest.mark.parametrize("count", [1, 2, 24])
def test_half_precision_keeps_the_stated_bound(
    count: int, dtype: torch.dtype, unit: float
) -> None:
    features = [x.detach() for x in inputs(count, dtype)]
    weights = images(count, 3, 1, 1, 1).to(dtype)
    found = gather(features, [*weights])
    assert found.dtype == dtype
    terms = torch.stack(features).double() * weights.double()
    wanted, bound = terms.sum(0), terms.abs().sum(0)
    assert ((found.double() - wanted).abs() <= (count + 1) * unit * bound).all()


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
        # The stage's input, and what each of its four nodes computes.
        assert (saved_features(copy.deepcopy(twin), x) == 5) == recompute
        own = x.clone().requires_grad_()
        torch.manual_seed(0)
        y, adjacency = twin(own, return_adjacency=True)
        torch.autograd.backward(y.square().sum() + adjacency.sum())
        grads = [p.grad for p in twin.parameters()]
        results.append([y.detach(), own.grad, *grads, *twin.buffers()])
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted)


SHAPES = {"numbers": (3, 1, 1, 1), "channels": (1, 4, 1, 1), "positions": (3, 1, 5, 6)}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_a_sum_has_derivatives_of_both_orders_forward_and_backward(
    shape: tuple[int, ...],
) -> None:
    features = [images(3, 2, 2, 2, seed=seed).requires_grad_() for seed in range(2)]
    sizes = [min(size, 2) if place else size for place, size in enumerate(shape)]
    weights = [images(*sizes, seed=seed).requires_grad_() for seed in (7, 8)]

    def run(*values: Tensor) -> Tensor:
        return gather(values[:2], values[2:])

    assert torch.autograd.gradcheck(
        run, (*features, *weights), check_forward_ad=True, check_batched_grad=True
    )
    assert torch.autograd.gradgradcheck(run, (*features, *weights))


@pytest.mark.parametrize("edges", ["learned", "dynamic", "attention", "receiver"])
@pytest.mark.parametrize("size", [4, 200])
def test_functional_derivatives_do_not_depend_on_the_size(
    edges: str, size: int
) -> None:
    stage = lively(Stage(complete(2), 4, 4, edges=edges)).eval()
    x = images(1, 4, size, size)  # of 64 and of 160,000 elements

    def loss(scale: Tensor) -> Tensor:
        y: Tensor = stage(x * scale)
        return y.square().mean()

    one = torch.ones((), dtype=torch.float64)
    backward = torch.func.jacrev(loss)(one)
    derivatives: Any = torch.func.jvp(loss, (one,), (one,))
    forward = derivatives[1]
    torch.testing.assert_close(backward, forward)
    own = one.clone().requires_grad_()
    (first,) = torch.autograd.grad(loss(own), own, create_graph=True)
    torch.testing.assert_close(first.detach(), backward)
    (second,) = torch.autograd.grad(first, own)
    torch.testing.assert_close(second, torch.func.jacfwd(torch.func.jacrev(loss))(one))


@pytest.mark.parametrize("edges", ["fixed", "dynamic:gate=hard", "attention"])
def test_vmap_over_an_ensemble_is_the_loop(edges: str) -> None:
    stages = [lively(Stage(complete(3), 4, 4, edges=edges), s).eval() for s in (1, 2)]
    parameters, buffers = torch.func.stack_module_state(stages)
    x = images(2, 4, 5, 5)

    def run(parameters: Any, buffers: Any) -> Tensor:
        y: Tensor = torch.func.functional_call(stages[0], (parameters, buffers), (x,))
        return y

    with torch.no_grad():
        found = torch.vmap(run)(parameters, buffers)
        wanted = torch.stack([stage(x) for stage in stages])
    torch.testing.assert_close(found, wanted)


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
import sys
import torch
import torch._dynamo.testing
from ddw_graph import create_model

for edges in sys.argv[2:]:
    torch._dynamo.reset()
    counter = torch._dynamo.testing.CompileCounterWithBackend(sys.argv[1])
    size = dict(wiring="complete", n=3, channels=4)
    model = create_model("randwire_tiny", edges=edges, **size)
    x = torch.randn(2, 3, 16, 16)
    compiled = torch.compile(model.eval(), backend=counter, fullgraph=True)
    for grad in (True, False):
        with torch.set_grad_enabled(grad):
            torch.testing.assert_close(compiled(x), model(x), rtol=1e-4, atol=1e-5)
    model.train()
    compiled(x).square().sum().backward()
    found = {name: p.grad for name, p in model.named_parameters()}
    model.zero_grad(set_to_none=True)
    model(x).square().sum().backward()
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(found[name], parameter.grad, rtol=1e-3, atol=1e-4)
    print(edges, counter.frame_count)
"""


@pytest.mark.parametrize(
    ("backend", "kinds"),
    [
        ("eager", ["dynamic"]),
        pytest.param("aot_eager", KINDS, marks=pytest.mark.full),
        pytest.param("inductor", ["dynamic", "receiver"], marks=pytest.mark.full),
    ],
)
def test_a_compiled_network_is_one_graph_and_computes_the_same(
    backend: str, kinds: list[str]
) -> None:
    # In a process whose functions do not check shapes, which Dynamo cannot follow.
    code = [sys.executable, "-c", COMPILED, backend, *kinds]
    run = subprocess.run(code, capture_output=True, text=True)
    # A graph for evaluation with and without gradients each, and one for training.
    assert run.stdout == "".join(f"{kind} 3\n" for kind in kinds), run.stderr
