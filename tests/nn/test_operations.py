"""Each node has the operation that it is given, and its parts compute as they say."""

from typing import Any

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import conv2d

from ddw_graph.generators import complete
from ddw_graph.models import create_model
from ddw_graph.nn.cost import cost
from ddw_graph.nn.network import Network
from ddw_graph.nn.operations import (
    Subsampled,
    basic_branch,
    projection_1x1,
    sepconv,
)
from ddw_graph.nn.plan import plan
from ddw_graph.nn.stage import Stage
from ddw_graph.wiring import computing_nodes
from tests.nn.naive import naive_stage
from tests.nn.test_stage import images, lively
from tests.strategies import wirings

NAMES = {"basic": basic_branch, "sepconv": sepconv}


def pointwise(in_channels: int, channels: int, stride: int) -> nn.Module:
    return nn.Conv2d(in_channels, channels, 1, stride)


@given(dag=wirings(), data=st.data(), seed=st.integers(0, 99))
def test_each_node_computes_with_the_operation_that_it_is_given(
    dag: nx.DiGraph, data: st.DataObject, seed: int
) -> None:
    settled, operations, wanted = plan(dag), [], []
    for node in range(1, len(dag) - 1):
        sizes = (3, 4, 2) if settled.takes_transition(node) else (4, 4, 1)
        module: Any = pointwise(*sizes)
        choices = [*NAMES, *NAMES.values(), pointwise, module]
        chosen = data.draw(st.sampled_from(choices))
        operations.append(chosen)
        make = NAMES[chosen] if isinstance(chosen, str) else chosen
        wanted.append(repr(module if make is module else make(*sizes)))
    x = images(3, 3, 6, 6)
    for operation in (operations, lambda node: operations[node - 1]):
        stage = Stage(dag, 3, 4, stride=2, edges="dynamic", operation=operation)
        assert [*map(repr, stage.operations)] == wanted
        pairs = zip(operations, stage.operations, strict=True)
        assert all(a is b for a, b in pairs if isinstance(a, nn.Module))
        lively(stage, seed).eval()
        expected, _ = naive_stage(stage, x)
        torch.testing.assert_close(stage(x), expected, rtol=1e-12, atol=1e-12)


class Scale(nn.Module):
    """Multiplies by a number, whatever the width."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


def test_stages_of_a_network_share_no_module() -> None:
    mine = Scale()
    network = create_model(
        "randwire_tiny",
        wiring="complete",
        n=2,
        channels=4,
        operation=["basic", mine],
        transition="input",
    )
    scales = [m.scale for m in network.modules() if isinstance(m, Scale)]
    assert len({id(scale) for scale in [mine.scale, *scales]}) == 1 + len(scales)


def test_the_operation_of_each_node_is_counted() -> None:
    # On 8 x 8 positions with 4 channels; one module computes nodes 3 and 4.
    shared = nn.Conv2d(4, 4, 1)
    expected = [4 * 4 * 9 * 64, 4 * 9 * 64 + 4 * 4 * 64, 4 * 4 * 64, 4 * 4 * 64]
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    operation: list[Any] = [nn.Conv2d(4, 4, 3, 1, 1), "sepconv", shared, shared]
    stage = Stage(complete(4), 4, 4, edges="fixed", operation=operation)
    price = cost(Network(nn.Identity(), [stage], head, in_channels=4), 8)
    assert list(price.work[0].operations) == [0, *expected, 0]
    assert price.parts[1].layer_macs == sum(expected)
    assert price.parts[1].parameters == sum(p.numel() for p in stage.parameters())


@given(dag=wirings(identity=True))
def test_identity_nodes_have_no_operation_and_cost_nothing(dag: nx.DiGraph) -> None:
    places: list[int] = []

    def operation(node: int) -> Any:
        places.append(node)
        return lambda i, o, s: nn.Conv2d(i, o, 2 * node + 1, s, node)

    stage = Stage(dag, 4, 4, edges="fixed", operation=operation)
    computing = computing_nodes(dag)
    assert places == [*range(1, len(computing) + 1)]
    assert len(stage.operations) == len(computing)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    price = cost(Network(nn.Identity(), [stage], head, in_channels=4), 8)
    expected = [0] * len(dag)
    for place, node in enumerate(computing, start=1):
        expected[node] = 4 * 4 * (2 * place + 1) ** 2 * 64
    assert list(price.work[0].operations) == expected
    assert price.parts[1].aggregation == 256 * dag.number_of_edges()


@pytest.mark.parametrize("size", [7, 8])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_narrow_strided_projection_is_the_convolution(
    size: int, layout: torch.memory_format
) -> None:
    made = projection_1x1(4, 6, 2)
    assert isinstance(made, nn.Sequential) and isinstance(made[0], Subsampled)
    conv = made[0].double()
    x = torch.randn(8, 4, size, size).double().to(memory_format=layout)
    x.requires_grad_()
    weight = conv.weight
    for found, wanted in zip(
        (y := conv(x), *torch.autograd.grad(y.square().sum(), (x, weight))),
        (
            z := conv2d(x, weight, stride=2),
            *torch.autograd.grad(z.square().sum(), (x, weight)),
        ),
        strict=True,
    ):
        torch.testing.assert_close(found, wanted)
