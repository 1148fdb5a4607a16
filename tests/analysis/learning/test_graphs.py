"""Wirings as graphs of PyTorch Geometric: exact both ways, in batches and out."""

from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.loader import DataLoader
from torch_geometric.utils import to_networkx

from ddw_graph.analysis.learning.graph_network import GraphNetwork
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.training.collection import Collection, StageEdges
from ddw_graph.wiring import describe, edge_list
from tests.analysis.learning.planted import one_edge_decides
from tests.strategies import wirings

MANY = st.lists(wirings(), min_size=1, max_size=4)


def weighted(dags: Sequence[nx.DiGraph], seed: int = 0) -> Data:
    """Returns wirings with drawn weights as one graph."""
    generator = np.random.default_rng(seed)
    stages, arrays = [], []
    for dag in dags:
        edges = np.array(edge_list(dag))
        none = np.zeros(len(edges), np.int64)
        nodes = np.zeros(len(dag), np.int64)
        stages.append(StageEdges(len(dag), edges, none.astype(bool), nodes, none))
        arrays.append(generator.normal(size=(1, len(edges))).astype(np.float32))
    columns = {"label": np.array([seed])}
    (graph,) = collection_graphs(Collection(tuple(stages), tuple(arrays), columns))
    return graph


def same(graph: Data, other: Data) -> bool:
    """Returns whether two graphs hold the same tensors by the same names."""
    assert set(graph.keys()) == set(other.keys())
    return all(torch.equal(graph[key], other[key]) for key in graph.keys())


@given(dags=MANY)
def test_a_graph_is_its_wirings(dags: list[nx.DiGraph]) -> None:
    graph = weighted(dags)
    assert graph.validate()
    for place, dag in enumerate(dags):
        stage = graph.subgraph(graph.node_stage == place)
        back = to_networkx(stage)
        assert list(back) == sorted(dag) and edge_list(back) == edge_list(dag)
        assert stage.node.tolist() == sorted(dag)
        found = describe(dag, distances=False)
        assert stage.x[:, 1].tolist() == found.in_degrees
        assert stage.x[:, 2].tolist() == found.out_degrees
        assert stage.x[:, 3].nonzero().tolist() == [[0]]
        assert stage.x[:, 4].nonzero().tolist() == [[len(dag) - 1]]
        torch.testing.assert_close(stage.x[:, 0], torch.linspace(0, 1, len(dag)))
        expected = place / max(len(dags) - 1, 1)
        torch.testing.assert_close(stage.x[:, 5], torch.full((len(dag),), expected))


@given(samples=st.lists(st.tuples(MANY, st.integers(0, 9)), min_size=1, max_size=4))
def test_a_batch_and_the_numbering_of_nodes_change_nothing(
    samples: list[tuple[list[nx.DiGraph], int]],
) -> None:
    graphs = [weighted(dags, seed) for dags, seed in samples]
    batch = Batch.from_data_list(graphs)
    parts = batch.to_data_list()
    assert all(map(same, graphs, parts)) and len(parts) == len(graphs)
    network, renumbered = GraphNetwork(2).eval(), []
    for graph, (_, seed) in zip(graphs, samples, strict=True):
        generator = torch.Generator().manual_seed(seed)
        nodes = torch.randperm(graph.num_nodes, generator=generator)
        edges = torch.randperm(graph.num_edges, generator=generator)
        other = graph.clone()
        other.x, other.edge_attr = graph.x[nodes], graph.edge_attr[edges]
        other.edge_index = nodes.argsort()[graph.edge_index[:, edges]]
        renumbered.append(other)
    with torch.no_grad():
        alone = torch.cat([network(graph) for graph in renumbered])
        torch.testing.assert_close(network(batch), alone, rtol=1e-4, atol=1e-4)


def test_the_network_reads_weights_directions_and_both_stages() -> None:
    torch.manual_seed(0)
    network = GraphNetwork(1).eval()
    dags = [nx.DiGraph([(0, 1), (0, 2), (1, 2), (2, 3)]) for _ in range(2)]
    graph = weighted(dags, 0)
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
    labels = collection.column("label").tolist()
    loader = DataLoader(collection_graphs(collection), batch_size=7, shuffle=True)
    graphs = [graph for batch in loader for graph in batch.to_data_list()]
    assert sorted(int(graph.sample) for graph in graphs) == list(range(20))
    for graph in graphs:
        sample = int(graph.sample)
        assert graph.y.tolist() == [labels[sample]]
        expected = collection.rows(slice(sample, sample + 1))
        assert graph.edge_weight.numpy().tobytes() == expected.tobytes()
