"""A budget pulls the expected MACs of a sample, by a gradient that closes edges."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph import create_model
from ddw_graph.errors import RunError
from ddw_graph.models import from_config
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.budget_term import CLOSING_EDGES, budget_term, mac_shares
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.recipe import recipe_named
from ddw_graph.training.run import Run
from tests.training.runs import run
from tests.training.small import small_config, small_data

HALF = recipe_named("small", epochs=15, batch_size=8, router_lr=3.0, budget=0.5)


def closing(**changes: Any) -> Network:
    """Returns a small network of which some edges are closed."""
    model = from_config(small_config(CLOSING_EDGES, **changes))
    for stage in model.stages:
        threshold = stage.weights.get_parameter("threshold")
        torch.nn.init.uniform_(threshold, 0.3, 0.9)
        for name, parameter in stage.weights.named_parameters():
            if name.endswith("linear.weight"):
                torch.nn.init.normal_(parameter)
    return model


def naive_macs(price: NetworkCost, adjacency: list[torch.Tensor], sample: int) -> int:
    """Returns what a sample asks for, added up edge by edge and node by node."""
    total = price.parts[0].total_macs + price.parts[-1].total_macs
    for work, matrix in zip(price.work, adjacency, strict=True):
        total += work.terminals
        for place, (i, j) in enumerate(work.plan.edges):
            total += work.edges[place] * bool(matrix[sample, j, i] != 0)
        for j in range(work.plan.nodes):
            if j == 0 or any(matrix[sample, j] != 0):
                total += work.nodes[j]
    return total


@given(
    wiring=st.sampled_from(["complete", "ws:k=2,p=0.5"]),
    seed=st.integers(0, 2**16),
    training=st.booleans(),
)
def test_the_value_is_the_count_with_and_without_a_gradient(
    wiring: str, seed: int, training: bool
) -> None:
    torch.manual_seed(seed)
    model = closing(wiring=wiring, n=3, seed=seed).train(training)
    price = cost(model, 8)
    _, adjacency = model(torch.randn(5, 1, 8, 8), return_adjacency=True)
    expected = price.expected_macs(adjacency)
    without = price.expected_macs([matrix.detach() for matrix in adjacency])
    assert expected.requires_grad and not without.requires_grad
    assert torch.equal(expected, without)
    assert expected.tolist() == [naive_macs(price, adjacency, b) for b in range(5)]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_count_is_exact_in_mixed_precision_too(dtype: torch.dtype) -> None:
    model = closing(wiring="complete", n=4, seed=0)
    price = cost(model, 28)
    _, adjacency = model(torch.randn(5, 1, 28, 28), return_adjacency=True)
    wanted = price.expected_macs(adjacency)
    assert wanted.min() > 70_000  # more than float16 holds
    with torch.autocast("cpu", dtype=dtype):
        assert torch.equal(price.expected_macs(adjacency), wanted)


def test_the_gradient_is_that_of_edges_and_of_the_nodes_that_hang_on_them() -> None:
    model = create_model("randwire_tiny", wiring="complete", n=2, channels=4).eval()
    price = cost(model, 16)
    _, adjacency = model(torch.randn(3, 3, 16, 16), return_adjacency=True)
    matrices = [matrix.detach() for matrix in adjacency]
    first = matrices[0]
    first[1, 2, 0] = 0  # node 2 of the second sample has one input, node 1
    first[2, 2] = first[2, :, 2] = 0  # that of the third is dead
    first[0, 3, 1] = -0.5  # the size of a weight opens, not its sign
    first.requires_grad_()
    torch.autograd.backward(price.expected_macs(matrices).sum())
    work = price.work[0]
    own = dict(zip(work.plan.edges, work.edges, strict=True))
    node = work.nodes[2]
    assert first.grad is not None
    assert first.grad[:, 2, :2].tolist() == [
        [own[0, 2] + node / 2, own[1, 2] + node / 2],
        [own[0, 2], own[1, 2] + node],
        [own[0, 2] + node / 2, own[1, 2] + node / 2],
    ]
    assert first.grad[:, 3, 1].tolist() == [-own[1, 3], own[1, 3], own[1, 3]]


@pytest.mark.parametrize(("budget", "sign"), [(0.1, 1), (1.0, -1)])
def test_the_term_moves_every_router_and_threshold_toward_the_budget(
    budget: float, sign: int
) -> None:
    model = from_config(small_config(CLOSING_EDGES)).train()
    price = cost(model, 8)
    if budget == 1:
        for stage in model.stages:  # the middle node has no open input
            stage.weights.get_parameter("threshold").data[1] = 2
    _, adjacency = model(torch.randn(6, 1, 8, 8), return_adjacency=True)
    shares = mac_shares(price, adjacency)
    assert (shares.mean() > budget) == (sign == 1)
    torch.autograd.backward(budget_term(shares, budget))
    for name, parameter in model.named_parameters():
        if name.endswith("threshold"):
            assert parameter.grad is not None
            assert (-sign * parameter.grad > 0).all(), name
        elif ".routers." in name and name.endswith("bias"):
            assert parameter.grad is not None
            # A dead node's own edges are closed whatever its router returns.
            dead = budget == 1 and ".routers.2." in name
            assert dead or (sign * parameter.grad > 0).all(), name


@pytest.mark.parametrize("edges", ["fixed", "learned", "dynamic:gate=eq5"])
def test_edges_that_do_not_close_in_training_cannot_keep_a_budget(
    tmp_path: Path, edges: str
) -> None:
    with pytest.raises(RunError, match=f"dynamic with gate=hard, got {edges}$"):
        run(tmp_path / "a", config=small_config(edges), recipe=HALF)
    assert not (tmp_path / "a").exists()


@pytest.mark.full
@pytest.mark.parametrize(("budget", "away"), [(0.5, 0.05), (1.0, 0.01)])
def test_training_reaches_its_budget_and_learns(
    tmp_path: Path, budget: float, away: float
) -> None:
    config, recipe = small_config(CLOSING_EDGES, n=6), replace(HALF, budget=budget)
    recipe = replace(recipe, budget_weight=100.0)
    folder = tmp_path / "run"
    result = run(folder, config=config, data=small_data(), recipe=recipe, seed=2)
    assert result["test_accuracy"] > 0.8
    share = result["expected_macs"] / result["total_macs"]
    assert share == pytest.approx(budget, abs=away)


def test_the_log_has_shares_and_the_loss_without_the_term(tmp_path: Path) -> None:
    # So slow that each step meets the same weights.
    still = replace(HALF, epochs=1, learning_rate=1e-12)
    rows = []
    for name, weight in (("a", 0.0), ("b", 1e3)):
        recipe = replace(still, budget_weight=weight)
        run(tmp_path / name, config=small_config(CLOSING_EDGES), recipe=recipe)
        (row,) = Run(tmp_path / name).log
        rows.append(row | {"data_seconds": 0, "train_seconds": 0})
    assert rows[0] == rows[1]
    assert 0 < rows[0]["train_macs_share"] <= 1
    images = small_data(24, 12).test_inputs()
    tested = evaluate(Run(tmp_path / "a").network(), images)
    assert rows[0]["test_macs_share"] == tested.macs_share
