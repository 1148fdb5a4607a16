"""Wirings as graphs of PyTorch Geometric: exact both ways, in batches, from disk."""

import ast
import pickle
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader

from ddw_graph import analysis
from ddw_graph.analysis.learning.collection_graphs import (
    CollectionGraphs,
    EdgeScale,
    all_weights,
)
from ddw_graph.analysis.learning.graph_network import GraphNetwork
from ddw_graph.analysis.learning.wiring_graph import (
    graph_weights,
    graph_wirings,
    stages_graph,
    wirings_graph,
)
from ddw_graph.errors import DataError
from ddw_graph.training.collection import open_collection
from ddw_graph.wiring import describe, edge_list
from tests.analysis.learning.planted import one_edge_decides, stored
from tests.strategies import wirings

MANY = st.lists(wirings(), min_size=1, max_size=4)


def weighted(dags: list[nx.DiGraph], seed: int) -> tuple[Data, list[np.ndarray]]:
    """Returns wirings as a graph with drawn weights, and these."""
    draw = np.random.default_rng(seed)
    edges = [np.array(edge_list(dag)) for dag in dags]
    weights = [draw.normal(size=len(e)).astype(np.float32) for e in edges]
    weights[0][0] = 0  # closed, and must stay
    constant = [draw.random(len(e)) < 0.5 for e in edges]
    return stages_graph([len(d) for d in dags], edges, weights, constant), weights


def same(graph: Data, other: Data) -> bool:
    """Returns whether two graphs hold the same tensors by the same names."""
    assert set(graph.keys()) == set(other.keys())
    return all(torch.equal(graph[key], other[key]) for key in graph.keys())


@given(dags=MANY, seed=st.integers(0, 9))
def test_wirings_and_weights_come_back_exactly(
    dags: list[nx.DiGraph], seed: int
) -> None:
    graph, weights = weighted(dags, seed)
    assert graph.validate() and not graph.has_self_loops()
    for dag, back in zip(dags, graph_wirings(graph), strict=True):
        assert edge_list(back) == edge_list(dag) and list(back) == sorted(dag)
    for array, back in zip(weights, graph_weights(graph), strict=True):
        assert array.tobytes() == back.tobytes()
    assert torch.equal(graph.edge_attr[:, 0], graph.edge_weight)
    assert torch.equal(graph.edge_attr[:, 1] > 0, graph.edge_constant)


@given(dags=MANY)
def test_features_are_what_the_description_says(dags: list[nx.DiGraph]) -> None:
    graph = wirings_graph(dags)
    assert bool((graph.edge_weight == 1).all() and graph.edge_constant.all())
    for place, dag in enumerate(dags):
        x = graph.x[graph.node_stage == place]
        found = describe(dag, distances=False)
        assert x[:, 1].tolist() == found.in_degrees
        assert x[:, 2].tolist() == found.out_degrees
        assert x[:, 3].nonzero().tolist() == [[0]]
        assert x[:, 4].nonzero().tolist() == [[len(dag) - 1]]
        torch.testing.assert_close(x[:, 0], torch.linspace(0, 1, len(dag)))
        expected = place / max(len(dags) - 1, 1)
        torch.testing.assert_close(x[:, 5], torch.full((len(dag),), expected))


@given(samples=st.lists(st.tuples(MANY, st.integers(0, 9)), min_size=1, max_size=4))
def test_a_batch_splits_back_exactly(
    samples: list[tuple[list[nx.DiGraph], int]],
) -> None:
    graphs = [weighted(dags, seed)[0] for dags, seed in samples]
    parts = Batch.from_data_list(graphs).to_data_list()
    assert all(map(same, graphs, parts)) and len(parts) == len(graphs)
    for (dags, _), part in zip(samples, parts, strict=True):
        assert [edge_list(d) for d in graph_wirings(part)] == list(map(edge_list, dags))


def permuted(graph: Data, seed: int) -> Data:
    """Returns a graph with its nodes and its edges in another order."""
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.randperm(graph.num_nodes, generator=generator)
    edges = torch.randperm(graph.num_edges, generator=generator)
    other = graph.clone()
    for key in ("x", "node", "node_stage"):
        other[key] = graph[key][nodes]
    for key in ("edge_weight", "edge_constant", "edge_attr"):
        other[key] = graph[key][edges]
    other.edge_index = nodes.argsort()[graph.edge_index[:, edges]]
    return other


@given(dags=MANY, seed=st.integers(0, 99))
def test_the_numbering_of_nodes_changes_nothing(
    dags: list[nx.DiGraph], seed: int
) -> None:
    graph, _ = weighted(dags, seed)
    other = permuted(graph, seed)
    back = graph_wirings(other)
    assert [edge_list(d) for d in back] == [edge_list(d) for d in dags]
    torch.manual_seed(0)
    network = GraphNetwork(3).eval()
    with torch.no_grad():
        torch.testing.assert_close(network(other), network(graph), rtol=1e-4, atol=1e-4)


@given(dags=MANY, seed=st.integers(0, 9))
def test_a_graph_is_told_the_same_alone_and_in_a_batch(
    dags: list[nx.DiGraph], seed: int
) -> None:
    graphs = [weighted(dags, seed)[0], wirings_graph(dags), weighted(dags[:1], 1)[0]]
    network = GraphNetwork(2).eval()
    with torch.no_grad():
        alone = torch.cat([network(graph) for graph in graphs])
        together = network(Batch.from_data_list(graphs))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-4)


def test_the_network_reads_weights_directions_and_both_stages() -> None:
    torch.manual_seed(0)
    network = GraphNetwork(1).eval()
    dags = [nx.DiGraph([(0, 1), (0, 2), (1, 2), (2, 3)]) for _ in range(2)]
    graph, _ = weighted(dags, 0)
    seen = network(graph).item()
    for edge in range(graph.num_edges):
        other = graph.clone()
        other.edge_attr[edge, 0] += 0.5
        assert abs(network(other).item() - seen) > 1e-5
    turned = graph.clone()
    turned.edge_index = graph.edge_index.flip(0)
    assert abs(network(turned).item() - seen) > 1e-5


def test_a_collections_graphs_are_its_samples(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 20)
    graphs = CollectionGraphs(collection)
    assert len(graphs) == 20
    labels = collection.column("label").tolist()
    seen = []
    for batch in DataLoader(graphs, batch_size=7, shuffle=True):
        for graph in batch.to_data_list():
            sample = int(graph.sample)
            seen.append(sample)
            assert graph.y.tolist() == [labels[sample]]
            assert same(graph, graphs[sample])
            for place, array in enumerate(graph_weights(graph)):
                expected = collection.weights(place)[sample]
                assert array.tobytes() == expected.tobytes()
            stages = [stage.edges.tolist() for stage in collection.stages]
            back = [[list(e) for e in edge_list(d)] for d in graph_wirings(graph)]
            assert back == stages
    assert sorted(seen) == list(range(20))
    assert int(graphs[-1].sample) == 19
    with pytest.raises(IndexError):
        graphs[20]


def test_graphs_are_read_from_disk_when_asked_for(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 6)
    graphs = CollectionGraphs(collection)
    held = graphs[3]
    array = np.load(tmp_path / "a" / "stage-1.npy", mmap_mode="r+")
    array[3] = 7
    array.flush()
    assert bool((graph_weights(graphs[3])[0] == 7).all())
    assert bool((graph_weights(held)[0] < 1).all())


def test_deviations_are_counted_edge_by_edge(tmp_path: Path) -> None:
    collection = one_edge_decides(tmp_path / "a", 30)
    weights = all_weights(collection)
    scale = EdgeScale.of(weights[:20])
    exact = weights.astype(np.float64)
    expected = (exact - exact[:20].mean(0)) / exact[:20].std(0)
    graphs = CollectionGraphs(collection, scale)
    found = torch.stack([graphs[n].edge_attr[:, 2] for n in range(30)]).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)
    flat = EdgeScale.of(np.full((5, 2), 0.1, np.float32))
    assert flat.std.tolist() == [1, 1]


def test_nothing_is_pickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither by the modules' own words, nor by what they call."""
    folder = Path(analysis.__path__[0]) / "learning"
    files = list(folder.glob("*.py"))
    assert len(files) > 5
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            name = getattr(node, "attr", None) or getattr(node, "id", None)
            assert name not in {"InMemoryDataset", "OnDiskDataset"}, file

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something was pickled or unpickled")

    collection = one_edge_decides(tmp_path / "a", 6)
    for name in ("load", "loads", "dump", "dumps", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name in ("load", "save"):
        monkeypatch.setattr(torch, name, refuse)
    opened = open_collection(collection.folder)
    assert len(list(DataLoader(CollectionGraphs(opened), batch_size=4))) == 2
    assert not any("torch_geometric" in c.__module__ for c in CollectionGraphs.__mro__)
    # An array that would run code is refused.
    array = np.array([{"code": print}], dtype=object)
    monkeypatch.undo()
    np.save(opened.folder / "stage-2.npy", array, allow_pickle=True)
    with pytest.raises(DataError, match="stage-2.npy must hold a whole array"):
        CollectionGraphs(opened)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    chain = np.array([(0, 1), (1, 2)])
    with pytest.raises(DataError, match="got 2, 3, 2 in stage 1"):
        stages_graph([3], [chain], [np.ones(3, np.float32)], [np.ones(2, np.bool_)])
    collection = one_edge_decides(tmp_path / "a", 6)
    (tmp_path / "a" / "samples.csv").write_text("label\n1\n2\n")
    with pytest.raises(DataError, match="must hold label, prediction"):
        CollectionGraphs(collection)
    dag = nx.DiGraph([(0, 1), (1, 2)])
    bad = stored(tmp_path / "b", [dag], [np.array([[1, np.nan]])], np.array([0]))
    with pytest.raises(DataError, match="must hold finite weights"):
        all_weights(bad)
