"""Tables and graphs of an adjacency hold what the network returned."""

import math
from collections.abc import Callable
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ddw_graph import Network, Stage, analysis
from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.errors import DataError, ModelError
from ddw_graph.generators import complete
from ddw_graph.wiring import edge_list
from tests.analysis.test_collect import some_model

KEY = ["sample", "stage", "source", "target"]


class Block(nn.Module):
    """An operation that has a stage of its own."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.inner = Stage(complete(1), in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y


def small_model(edges: str = "dynamic:bias=0,router_std=1", n: int = 3) -> Network:
    return some_model(edges, "ws:k=2,p=0.75", n)


def answer(model: nn.Module, x: Tensor) -> list[Tensor]:
    _, adjacency = model(x, return_adjacency=True)
    return [adjacency] if isinstance(adjacency, Tensor) else list(adjacency)


def random_queries(model: nn.Module) -> nn.Module:
    """Makes attention prefer some inputs: queries start at 0."""
    for name, parameter in model.named_parameters():
        if "queries" in name:
            nn.init.normal_(parameter)
    return model


def drawn(batch: int, *axes: int) -> Tensor:
    """Returns an adjacency of the complete DAG of one node."""
    matrix = torch.rand(batch, *axes, 3, 3).tril(-1)
    return matrix.movedim((-2, -1), (1, 2))


def naive(adjacency: list[Tensor], dags: list[nx.DiGraph]) -> list[list[float]]:
    """Returns the rows of the table, by loops."""
    return [
        [b, place, i, j, matrix[b, j, i].mean().item()]
        for b in range(len(adjacency[0]))
        for place, (matrix, dag) in enumerate(zip(adjacency, dags, strict=True), 1)
        for i, j in edge_list(dag)
    ]


@pytest.mark.parametrize("edges", ["dynamic:bias=0,router_std=1", "attention"])
def test_the_table_has_each_weight_in_the_wirings_order(edges: str) -> None:
    model = small_model(edges)
    random_queries(model)
    adjacency = answer(model, torch.randn(3, 1, 8, 8))
    frame = analysis.adjacency_frame(adjacency, model)
    expected = naive(adjacency, [stage.dag for stage in model.stages])
    assert list(frame) == [*KEY, "weight"]
    assert frame[KEY].values.tolist() == [row[:-1] for row in expected]
    np.testing.assert_allclose(frame["weight"], [row[-1] for row in expected], 1e-6)
    assert frame["weight"].nunique() > len(frame) / 4  # samples and edges differ
    assert frame.index.equals(pd.RangeIndex(len(frame)))


@pytest.mark.parametrize(
    ("shape", "axis", "names"),
    [
        ((2, 4, 3), 1, ["channel", "position"]),
        ((2, 3, 4), -1, ["position", "channel"]),
        ((2, 3, 5, 4), -1, ["height", "width", "channel"]),
        ((2, 4, 2, 3, 5), 1, ["channel", "position_1", "position_2", "position_3"]),
        ((2, 4, 2, 1, 5), 1, ["channel", "position_1", "position_3"]),
    ],
)
def test_each_weight_has_its_place_on_axes_named_as_the_features(
    shape: tuple[int, ...], axis: int, names: list[str]
) -> None:
    def operation(*arguments: int) -> nn.Module:
        return nn.Identity()

    stage = Stage(complete(1), 4, 4, operation=operation, channel_axis=axis)
    sizes = shape[1:]
    adjacency = drawn(2, *sizes)
    frame = analysis.adjacency_frame(adjacency, stage, by_sample=False)
    assert list(frame) == [*KEY, *names, "weight"]
    assert len(frame) == 2 * 3 * math.prod(sizes)
    assert not frame.duplicated([*KEY, *names]).any()
    b, i, j, *places = (
        frame[name].to_numpy(int) for name in ("sample", "source", "target", *names)
    )
    long = torch.tensor(adjacency.shape[3:]) > 1
    for at in np.flatnonzero(~long.numpy()):
        places.insert(at, np.zeros(len(frame), int))
    expected = adjacency.numpy()[b, j, i, *places]
    assert frame["weight"].tolist() == expected.tolist()
    averaged = analysis.adjacency_frame(adjacency, stage)
    means = frame.groupby(KEY)["weight"].mean()
    np.testing.assert_allclose(averaged["weight"], means, 1e-5)


def test_stages_may_differ_in_their_axes() -> None:
    stages = nn.ModuleList(
        [Stage(complete(1), 4, 4, edges=kind) for kind in ("fixed", "attention")]
    )
    adjacency = [drawn(2), drawn(2, 1, 2, 1)]
    frame = analysis.adjacency_frame(adjacency, stages, by_sample=False)
    assert frame["height"].isna().tolist() == ([True] * 3 + [False] * 6) * 2
    assert frame["height"].tolist()[3:9] == [0, 1] * 3
    expected = [*adjacency[0][1][[1, 2, 2], [0, 0, 1]].tolist()]
    expected += adjacency[1][1][[1, 2, 2], [0, 0, 1]].flatten().tolist()
    assert frame["weight"].tolist()[9:] == expected


@pytest.mark.parametrize("by_sample", [True, False])
def test_a_closed_edge_keeps_its_row(by_sample: bool) -> None:
    dag = nx.DiGraph([(2, 3), (0, 3), (1, 2), (0, 1)])  # in no order
    stage, adjacency = Stage(dag, 4, 4), torch.zeros(2, 4, 4)
    adjacency[:, [1, 3, 2, 3], [0, 0, 1, 2]] = torch.tensor([0.1, 0.2, 0.3, 0.4])
    adjacency[1, 3, 0] = 0
    frame = analysis.adjacency_frame(adjacency, stage, by_sample=by_sample)
    ends = list(zip(frame["source"], frame["target"], strict=True))
    assert ends == 2 * edge_list(dag)
    weights = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.1, 0, 0.3, 0.4]])
    assert frame["weight"].tolist() == weights.flatten().tolist()
    for graph, expected in zip(analysis.to_pyg(adjacency, stage), weights, strict=True):
        assert list(map(tuple, graph.edge_index.T.tolist())) == edge_list(dag)
        assert torch.equal(graph.edge_weight, expected)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (torch.float16, np.float32),
        (torch.bfloat16, np.float32),
        (torch.float32, np.float32),
        (torch.float64, np.float64),
    ],
)
def test_gradients_and_every_precision_are_taken(
    given: torch.dtype, kept: type
) -> None:
    stage = Stage(complete(1), 4, 4)
    adjacency = drawn(5, 1, 7, 9).to(given).requires_grad_()
    frame = analysis.adjacency_frame(adjacency, stage)
    assert frame["weight"].dtype == kept
    exact = adjacency.detach().double()[:, [1, 2, 2], [0, 0, 1]].flatten(2).mean(2)
    np.testing.assert_allclose(frame["weight"], exact.flatten(), 1e-6)
    graphs = analysis.to_pyg(adjacency, stage)
    assert graphs[0].edge_weight.dtype == torch.float32
    np.testing.assert_allclose(graphs[4].edge_weight, exact[4], 1e-6)


def test_graphs_do_not_share_their_weights() -> None:
    model = small_model()
    adjacency = answer(model, torch.randn(2, 1, 8, 8))
    labels = torch.tensor([1, 2])
    graphs = analysis.to_pyg(adjacency, model, labels=labels)
    kept = graphs[1].edge_weight.clone()
    graphs[0].edge_weight.zero_()
    graphs[0].y.zero_()
    assert torch.equal(graphs[1].edge_weight, kept)
    assert "y" not in analysis.to_pyg(adjacency, model)[0]
    assert labels.tolist() == [1, 2]


@pytest.mark.parametrize("edges", ["dynamic:bias=0,router_std=1", "fixed"])
def test_graphs_are_those_of_a_collection(tmp_path: Path, edges: str) -> None:
    model = small_model(edges)
    random_queries(model)
    x, labels = torch.randn(5, 1, 8, 8), torch.arange(5) % 3
    images = TensorDataset(x, labels)
    collection = collect(model, images, tmp_path / "a", classes=("a", "b", "c"))
    with torch.no_grad():
        adjacency = answer(model, x)
    graphs = analysis.to_pyg(adjacency, model, labels=labels)
    frame = analysis.adjacency_frame(adjacency, model)
    weights = torch.cat([graph.edge_weight for graph in graphs])
    np.testing.assert_array_equal(weights, frame["weight"])
    stored = collection_graphs(collection)
    assert len(graphs) == len(stored)
    for sample, graph in enumerate(graphs):
        other = stored[sample]
        assert graph.keys() == other.keys()
        for name in graph.keys():
            assert graph[name].dtype == other[name].dtype
            assert torch.equal(graph[name], other[name]), name
        assert bool(graph.edge_constant.all()) == (edges == "fixed")


def test_stages_are_found_in_any_module_but_not_in_operations() -> None:
    outer = Stage(complete(1), 4, 4, operation=Block).eval()
    wrapped = nn.Sequential(nn.Identity(), nn.Sequential(outer))
    (adjacency,) = answer(outer, torch.randn(2, 4, 6, 6))
    for model in (outer, wrapped):
        assert len(analysis.adjacency_frame(adjacency, model)) == 2 * 3
        assert len(analysis.to_pyg([adjacency], model)) == 2


def test_an_empty_batch_has_no_rows() -> None:
    stage = Stage(complete(1), 4, 4)
    frame = analysis.adjacency_frame(torch.zeros(0, 3, 3), stage)
    assert list(frame) == [*KEY, "weight"] and len(frame) == 0
    assert analysis.to_pyg(torch.zeros(0, 3, 3), stage, labels=[]) == []


@pytest.mark.parametrize("function", [analysis.adjacency_frame, analysis.to_pyg])
def test_what_does_not_fit_is_an_error(function: Callable[..., object]) -> None:
    stage = Stage(complete(1), 4, 4)
    both = nn.ModuleList([stage, Stage(complete(1), 4, 4)])
    fits = drawn(2)
    function([fits, fits], both)
    for adjacency, model, message in (
        (fits, nn.Linear(1, 1), "got Linear"),
        (fits, both, "each of 2 stages, got 1"),
        ([], stage, "each of 1 stages, got 0"),
        ([fits, fits[0]], both, r"got \(3, 3\) for stage 2"),
        (torch.zeros(2, 4, 4), stage, r"got \(2, 4, 4\) for stage 1"),
        ([fits, fits[:1]], both, "got 2, 1 samples"),
        (fits.mT, stage, "for 1 -> 0 of sample 0 in stage 1"),
    ):
        with pytest.raises(ModelError, match=message):
            function(adjacency, model)


@pytest.mark.parametrize("labels", [[1], [1, 2, 3], torch.zeros(2, 10)])
def test_each_sample_has_one_label(labels: Tensor | list[int]) -> None:
    stage, adjacency = Stage(complete(1), 4, 4), drawn(2)
    with pytest.raises(DataError, match="each of 2 samples"):
        analysis.to_pyg(adjacency, stage, labels=labels)
