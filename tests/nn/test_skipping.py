"""Skipping is masking, with less to do."""

import networkx as nx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ddw_graph import Dynamic, Stage
from ddw_graph.generators import complete
from ddw_graph.nn.skipping import MOST_GATHERED, computed
from tests.nn.test_stage import images, lively
from tests.strategies import wirings


def both(
    stage: Stage, x: Tensor, adjacency: Tensor | None = None
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Returns output and adjacency, skipped and masked."""
    results = []
    for skips in (True, False):
        stage.skips = skips
        with torch.no_grad():
            results.append(stage(x, adjacency=adjacency, return_adjacency=True))
    return results[0], results[1]


@pytest.mark.parametrize("gate", ["psi", "hard", "eq5"])
@pytest.mark.parametrize("output", ["sum", "mean"])
@given(dag=wirings(), seed=st.integers(0, 999), batch=st.sampled_from([1, 2, 7]))
def test_skipping_is_masking(
    gate: str, output: str, dag: nx.DiGraph, seed: int, batch: int
) -> None:
    settings = Dynamic(gate=gate, threshold=0.5, bias=0.0)
    stage = Stage(dag, 3, 4, stride=2, edges=settings, output=output)
    lively(stage, seed).eval()
    x = images(batch, 3, 6, 6, seed=seed)
    (found, one), (wanted, other) = both(stage, x)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@given(dag=wirings(), seed=st.integers(0, 999), share=st.floats(0, 1))
def test_skipping_what_the_caller_closed_is_masking(
    dag: nx.DiGraph, seed: int, share: float
) -> None:
    stage = lively(Stage(dag, 3, 4, stride=2, edges="learned"), seed).eval()
    generator = torch.Generator().manual_seed(seed)
    nodes = len(dag)
    adjacency = torch.zeros(5, nodes, nodes, dtype=torch.float64)
    for i, j in dag.edges:
        adjacency[:, j, i] = torch.rand(5, generator=generator).double() + 0.1
        adjacency[:, j, i] *= torch.rand(5, generator=generator) < share
    # Some path has to stay: a path of nodes that hear each other.
    path = nx.shortest_path(dag, 0, nodes - 1)
    for i, j in zip(path, path[1:], strict=False):
        adjacency[:, j, i] = 1
    x = images(5, 3, 6, 6, seed=seed)
    (found, one), (wanted, other) = both(stage, x, adjacency)
    torch.testing.assert_close(found, wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


def test_with_every_edge_closed_the_output_is_zero() -> None:
    stage = lively(Stage(complete(3), 3, 4, stride=2)).eval()
    x = images(2, 3, 7, 7)
    (found, one), (wanted, other) = both(stage, x, torch.zeros(1, 5, 5).double())
    assert torch.equal(found, wanted) and torch.equal(one, other)
    assert found.shape == (2, 4, 4, 4) and found.eq(0).all()


class Counting(nn.Module):
    """Notes for how many samples it computed."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 1)
        self.samples: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.samples.append(len(x))
        y: Tensor = self.conv(x)
        return y


def counting(n: int) -> tuple[Stage, list[Counting]]:
    stage = Stage(complete(n), 4, 4, operation=lambda *_: Counting()).eval()
    return stage, [each for each in stage.operations if isinstance(each, Counting)]


def test_a_node_computes_for_its_own_samples_alone() -> None:
    stage, counts = counting(4)
    adjacency = torch.ones(8, 6, 6).tril(-1)
    adjacency[:, 2] = 0  # node 2 hears nothing, for any sample
    adjacency[2:, 3] = 0  # node 3 hears something for two samples
    adjacency[7:, 4] = 0  # node 4 for seven of eight
    with torch.no_grad():
        stage(torch.randn(8, 4, 5, 5), adjacency=adjacency)
    assert [each.samples for each in counts] == [[8], [], [2], [8]]
    assert 2 <= MOST_GATHERED * 8 < 7


def test_with_a_gradient_or_in_training_everything_is_computed() -> None:
    stage, counts = counting(2)
    adjacency = torch.ones(1, 4, 4).tril(-1)
    adjacency[:, 2] = 0
    x = torch.randn(2, 4, 5, 5)
    stage(x, adjacency=adjacency)
    with torch.no_grad():
        stage.train()(x, adjacency=adjacency)
        stage.eval()
        stage.skips = False
        stage(x, adjacency=adjacency)
        stage.skips = None
        assert counts[1].samples == [2] * 3
        stage(x, adjacency=adjacency)
    assert counts[1].samples == [2] * 3


def test_an_edge_that_is_closed_for_every_sample_is_not_read() -> None:
    class Poisonous(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full_like(x, torch.nan)

    stage = Stage(complete(2), 4, 4, operation=lambda *_: Poisonous()).eval()
    adjacency = torch.ones(1, 4, 4).tril(-1)
    adjacency[:, 3, 1:] = 0  # the output hears the input alone
    x = torch.randn(2, 4, 5, 5)
    with torch.no_grad():
        torch.testing.assert_close(stage(x, adjacency=adjacency), x)
        stage.skips = False
        assert stage(x, adjacency=adjacency).isnan().all()


@pytest.mark.parametrize(
    "memory_format", [torch.contiguous_format, torch.channels_last]
)
def test_what_is_not_computed_is_zero_and_the_layout_stays(
    memory_format: torch.memory_format,
) -> None:
    conv = nn.Conv2d(4, 6, 3, 2).to(memory_format=memory_format)
    x = torch.randn(4, 4, 9, 9).contiguous(memory_format=memory_format)
    with torch.no_grad():
        y = computed(conv, x, torch.tensor([1, 3]))
        torch.testing.assert_close(y[[1, 3]], conv(x[[1, 3]]))
    assert y.shape == (4, 6, 4, 4) and y[[0, 2]].eq(0).all()
    assert y.is_contiguous(memory_format=memory_format)
