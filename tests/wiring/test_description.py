"""A wiring in numbers equals what slower routes count."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import complete, erdos_renyi, vgg, watts_strogatz
from ddw_graph.wiring import describe
from tests.strategies import wirings


@given(n=st.integers(1, 9), p=st.floats(0, 1), seed=st.integers(0, 99))
def test_equals_counting_path_by_path(n: int, p: float, seed: int) -> None:
    dag = erdos_renyi(n, p, seed=seed)
    found = describe(dag)
    assert found.nodes == n + 2
    assert found.edges == len(dag.edges)
    assert found.depth == nx.dag_longest_path_length(dag)
    assert found.paths == len(list(nx.all_simple_paths(dag, 0, n + 1)))
    assert found.sources == found.out_degrees[0] == dag.out_degree(0)
    assert found.sinks == found.in_degrees[-1] == dag.in_degree(n + 1)
    assert sum(found.in_degrees) == sum(found.out_degrees) == found.edges


def test_distances_are_those_of_the_computing_nodes() -> None:
    dag = watts_strogatz(24, 4, 0.5, seed=1)
    inner = dag.subgraph(range(1, 25)).to_undirected()
    found = describe(dag)
    assert found.clustering == nx.average_clustering(inner)
    assert found.average_path_length == pytest.approx(
        nx.average_shortest_path_length(inner)
    )


def test_what_is_not_there_is_none() -> None:
    alone = describe(vgg(1))
    assert alone.average_path_length is None and alone.clustering == 0.0
    spared = describe(vgg(5), distances=False)
    assert spared.average_path_length is None and spared.clustering is None


def test_paths_are_exact_beyond_any_machine_word() -> None:
    # Every computing node is on a path or is not.
    assert describe(complete(200), distances=False).paths == 2**200


@given(dag=wirings(identity=True))
def test_counts_the_nodes_that_compute(dag: nx.DiGraph) -> None:
    identity = [v for _, v in dag.nodes(data="operation")].count("identity")
    assert describe(dag).computing == len(dag) - 2 - identity
