"""A neutral start, and what surrounds a stage: laws against loops and fixed stages."""

import copy
from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ddw_graph.errors import ModelError
from ddw_graph.generators import complete, vgg
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.gates import GATES
from ddw_graph.nn.operations import basic_branch
from ddw_graph.nn.stage import Stage
from ddw_graph.nn.static import LearnedWeights
from ddw_graph.wiring import edge_list
from tests.nn.test_stage import images, lively
from tests.strategies import wirings

KINDS = ["learned", *(f"dynamic:gate={gate}" for gate in GATES)]
ALL = [
    *KINDS,
    "learned:bias=-1.7",
    "dynamic:gate=hard,bias=0.3",
    "learned:form=free",
    "learned:form=softmax",
    "dynamic:per=position,norm=rms",
    "attention",
    "receiver",
]


@st.composite
def kept_edges(draw: st.DrawFn) -> tuple[nx.DiGraph, nx.DiGraph]:
    """Draws a wiring, and another of some of its edges that reaches every node too."""
    dag = draw(wirings())
    kept = dag.copy()
    last = len(dag) - 1
    for i, j in draw(st.permutations(sorted(dag.edges))):
        heard, passed_on = kept.in_degree(j) > 1, kept.out_degree(i) > 1
        if heard and passed_on and draw(st.booleans()):
            kept.remove_edge(i, j)
    assert all(kept.in_degree(node) for node in range(1, last + 1))
    return dag, kept


def fixed_twin(stage: Stage, dag: nx.DiGraph) -> Stage:
    """Returns a stage with fixed edges and with copies of another's modules."""
    twin = copy.deepcopy(stage)
    operations = iter(twin.operations)
    return Stage(
        dag,
        stage.in_channels,
        stage.channels,
        stride=stage.stride,
        operation=lambda *sizes: next(operations),
        edges="fixed",
        transition="input",
        output="sum",
        projection=lambda *sizes: twin.projection or pytest.fail("needs none"),
        entrance=twin.entrance,
        exit=twin.exit,
    ).double()


def neutral(dag: nx.DiGraph, kept: nx.DiGraph, edges: str | Edges) -> Stage:
    """Returns a stage whose modules are spread and whose edges start neutral."""
    stage = Stage(
        dag,
        3,
        4,
        stride=2,
        edges=edges,
        transition="input",
        output="sum",
        neutral=edge_list(kept),
    ).double()
    start = copy.deepcopy(stage.weights)
    lively(stage).weights = start
    return stage


@pytest.mark.parametrize("edges", ALL)
@given(pair=kept_edges())
def test_it_starts_as_the_fixed_stage_of_the_kept_edges(
    edges: str, pair: tuple[nx.DiGraph, nx.DiGraph]
) -> None:
    dag, kept = pair
    try:
        stage = neutral(dag, kept, edges)
    except ModelError as error:
        # A single input of a node is not weighed there.
        assert edges == "receiver" and "single input" in str(error)
        return
    twin = fixed_twin(stage, kept)
    for training in (False, True):
        x, z = (images(3, 3, 6, 6).requires_grad_() for _ in range(2))
        y, adjacency = stage.train(training)(x, return_adjacency=True)
        wanted, matrix = twin.train(training)(z, return_adjacency=True)
        torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
        adjacency = adjacency.flatten(3).mean(3) if adjacency.ndim > 3 else adjacency
        torch.testing.assert_close(adjacency, matrix, rtol=1e-14, atol=0)
        assert torch.equal(adjacency != 0, matrix != 0)
        y.square().sum().backward()
        wanted.square().sum().backward()
        torch.testing.assert_close(x.grad, z.grad, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("edges", KINDS)
def test_gradients_reach_every_scale_and_what_it_scales(edges: str) -> None:
    dag = complete(4)
    stage = neutral(dag, vgg(4), edges).train()
    stage(images(4, 3, 8, 8)).square().sum().backward()
    weights = stage.weights
    scale: Any = weights.neutral_scale
    assert scale.grad is not None and scale.grad.all()
    chain = torch.tensor([float(vgg(4).has_edge(*e)) for e in edge_list(dag)])
    assert torch.equal(scale.detach(), chain.double())
    # An edge at 0 tells its router nothing yet; one at 1 does.
    if isinstance(weights, LearnedWeights):
        assert weights.logit.grad is not None
        assert torch.equal(weights.logit.grad != 0, chain.bool())
    else:
        for name, parameter in weights.named_parameters():
            assert parameter.grad is not None and parameter.grad.any(), name


def test_a_projection_is_made_where_it_is_needed_and_only_there() -> None:
    asked: list[tuple[int, int, int]] = []

    def projection(in_channels: int, channels: int, stride: int) -> nn.Module:
        asked.append((in_channels, channels, stride))
        return nn.AvgPool2d(stride)

    def made(dag: nx.DiGraph, *sizes: int, stride: int = 1) -> nn.Module | None:
        stage = Stage(
            dag,
            *sizes,
            stride=stride,
            transition="input",
            operation=basic_branch,
            projection=projection,
        )
        return stage.projection

    assert made(vgg(3), 3, 4, stride=2) is None
    assert made(complete(3), 4, 4) is None
    assert asked == []
    assert isinstance(made(complete(3), 3, 4), nn.AvgPool2d)
    assert isinstance(made(complete(3), 4, 4, stride=2), nn.AvgPool2d)
    assert asked == [(3, 4, 1), (4, 4, 2)]
