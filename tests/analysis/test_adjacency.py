"""Tables and graphs of an adjacency hold what the network returned."""

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import TensorDataset

from ddw_graph import Stage, analysis
from ddw_graph.analysis.collect import collect
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.errors import DataError, ModelError
from ddw_graph.generators import complete
from ddw_graph.wiring import edge_list
from tests.analysis.test_collect import CLASSES, some_model

KEY = ["sample", "stage", "source", "target"]


class Block(nn.Module):
    """An operation that has a stage of its own."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.inner = Stage(complete(1), in_channels, out_channels, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.inner(x)
        return y


@pytest.mark.parametrize("edges", ["dynamic:bias=0,router_std=1", "attention", "fixed"])
def test_table_graphs_and_collection_have_each_weight_in_the_wirings_order(
    edges: str, tmp_path: Path
) -> None:
    model = some_model(edges, "ws:k=2,p=0.75", 3)
    for name, parameter in model.named_parameters():
        if "queries" in name:  # they start at 0, and prefer no input
            nn.init.normal_(parameter)
    x, labels = torch.randn(5, 1, 8, 8), torch.arange(5) % 3
    with torch.no_grad():
        _, adjacency = model(x, return_adjacency=True)
    expected = [
        [b, place, i, j, matrix[b, j, i].mean().item()]
        for b in range(5)
        for place, (matrix, stage) in enumerate(
            zip(adjacency, model.stages, strict=True), 1
        )
        for i, j in edge_list(stage.dag)
    ]
    frame = analysis.adjacency_frame(adjacency, model)
    assert list(frame) == [*KEY, "weight"]
    assert frame[KEY].values.tolist() == [row[:-1] for row in expected]
    np.testing.assert_allclose(frame["weight"], [row[-1] for row in expected], 1e-6)
    assert frame.index.equals(pd.RangeIndex(len(frame)))
    # Samples and edges differ.
    assert edges == "fixed" or frame["weight"].nunique() > len(frame) / 4
    graphs = analysis.to_pyg(adjacency, model, labels=labels)
    weights = torch.cat([graph.edge_weight for graph in graphs])
    np.testing.assert_array_equal(weights, frame["weight"])
    collection = collect(
        model, TensorDataset(x, labels), tmp_path / "a", classes=CLASSES
    )
    for graph, other in zip(graphs, collection_graphs(collection), strict=True):
        assert graph.keys() == other.keys()
        assert all(torch.equal(graph[name], other[name]) for name in graph.keys())
        assert bool(graph.edge_constant.all()) == (edges == "fixed")


@pytest.mark.parametrize("given", [torch.bfloat16, torch.float32, torch.float64])
def test_gradients_and_every_precision_are_taken(given: torch.dtype) -> None:
    """And a closed edge keeps its row, whatever the order of a DAG's edges."""
    dag = nx.DiGraph([(2, 3), (0, 3), (1, 2), (0, 1)])
    stage, ends = Stage(dag, 4, 4), np.array(edge_list(dag))
    adjacency = torch.zeros(5, 4, 4, 1, 7, dtype=given)
    drawn = torch.rand(5, 4, 1, 7).to(given)
    drawn[1, 2] = 0
    adjacency[:, ends[:, 1], ends[:, 0]] = drawn
    frame = analysis.adjacency_frame(adjacency.requires_grad_(), stage)
    assert frame[["source", "target"]].values.tolist() == 5 * ends.tolist()
    exact = drawn.double().mean((2, 3))
    np.testing.assert_allclose(frame["weight"], exact.flatten(), 1e-6)
    graphs = analysis.to_pyg(adjacency, stage)
    assert graphs[1].edge_index.T.tolist() == ends.tolist()
    graphs[0].edge_weight.zero_()  # they share no weights
    np.testing.assert_allclose(graphs[4].edge_weight, exact[4], 1e-6)
    assert graphs[0].edge_weight.dtype == torch.float32 and "y" not in graphs[0]


def test_stages_are_found_in_any_module_but_not_in_operations() -> None:
    outer = Stage(complete(1), 4, 4, operation=Block).eval()
    wrapped = nn.Sequential(nn.Identity(), nn.Sequential(outer))
    _, adjacency = outer(torch.randn(2, 4, 6, 6), return_adjacency=True)
    for model in (outer, wrapped):
        assert len(analysis.adjacency_frame(adjacency, model)) == 2 * 3
        assert len(analysis.to_pyg([adjacency], model)) == 2


def test_an_empty_batch_has_no_rows_and_what_does_not_fit_is_an_error() -> None:
    stage = Stage(complete(1), 4, 4)
    frame = analysis.adjacency_frame(torch.zeros(0, 3, 3), stage)
    assert list(frame) == [*KEY, "weight"] and len(frame) == 0
    assert analysis.to_pyg(torch.zeros(0, 3, 3), stage, labels=[]) == []
    both = nn.ModuleList([stage, Stage(complete(1), 4, 4)])
    fits = torch.rand(2, 3, 3).tril(-1)
    for adjacency, model, message in (
        (fits, nn.Linear(1, 1), "got Linear"),
        (fits, both, "each of 2 stages, got 1"),
        ([fits, fits[0]], both, r"got \(3, 3\) for stage 2"),
        ([fits, fits[:1]], both, "got 2, 1 samples"),
        (fits.mT, stage, "for 1 -> 0 of sample 0 in stage 1"),
    ):
        with pytest.raises(ModelError, match=message):
            analysis.adjacency_frame(adjacency, model)
    for labels in ([1], torch.zeros(2, 10)):
        with pytest.raises(DataError, match="each of 2 samples"):
            analysis.to_pyg(fits, stage, labels=labels)
