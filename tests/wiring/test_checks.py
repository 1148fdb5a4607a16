"""What a wiring is, and the errors of what is none."""

import time

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.wiring import (
    MAX_NODES,
    WiringError,
    check,
    checks,
    edge_list,
    with_terminals,
)

CHAIN = [(0, 1), (1, 2), (2, 3)]


@given(st.permutations(range(5)), st.permutations([(0, 1), (0, 2), (1, 3), (2, 4)]))
def test_order_of_nodes_and_edges_does_not_matter(
    nodes: list[int], edges: list[tuple[int, int]]
) -> None:
    dag = nx.DiGraph()
    dag.add_nodes_from(nodes)
    dag.add_edges_from([(3, 4), *edges])
    assert check(dag) is dag
    assert edge_list(dag) == [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (CHAIN, "must be a directed graph .*, got a list"),
        (nx.Graph(CHAIN), "must be a directed graph .*, got an undirected Graph"),
        (nx.MultiDiGraph(CHAIN), "at most one edge .*, got a multigraph"),
        (nx.DiGraph(), "at least 3 nodes .*, got 0"),
        (nx.DiGraph([(0, 1)]), "at least 3 nodes .*, got 2"),
        (nx.DiGraph([(1, 2), (2, 3)]), r"integers 0..N-1, here 0..2, got 3"),
        (nx.DiGraph([(0, 1), (1, "2")]), "got '2'"),
        (nx.DiGraph([(False, True), (True, 2)]), "got False"),
        (nx.DiGraph([(0, 1.0), (1.0, 2)]), "got 1.0"),
        (nx.DiGraph([*CHAIN, (2, 2)]), "got the self-loop 2 -> 2"),
        (nx.DiGraph([*CHAIN, (2, 1)]), "must be acyclic, got the cycle 1 -> 2 -> 1"),
        (nx.DiGraph([(0, 2), (2, 1), (1, 3)]), "topological order .* edge 2 -> 1"),
        (nx.DiGraph([*CHAIN, (4, 5), (3, 5)]), "input edge, got none of node 4$"),
        (nx.DiGraph([(0, 3), (1, 3), (2, 3)]), "input edge, got none of nodes 1, 2$"),
        (
            nx.DiGraph([*CHAIN, (0, 4), (3, 4), (1, 5), (4, 6)]),
            "output edge, .*node 5$",
        ),
        (nx.DiGraph((i, (i + 1) % 500) for i in range(500)), r"0 -> 1 .* \.\.\. -> 0$"),
        (
            nx.path_graph(MAX_NODES + 1, create_using=nx.DiGraph),
            "10000 nodes, got 10001",
        ),
    ],
)
def test_the_rule_and_what_came(graph: object, message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        check(graph)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 120


def test_edges_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "MAX_EDGES", 2)
    with pytest.raises(WiringError, match="at most 2 edges, got 3"):
        check(nx.DiGraph(CHAIN))


def test_finds_the_cycle_of_a_dense_graph_at_once() -> None:
    dag = nx.DiGraph((i, j) for j in range(500) for i in range(j))
    dag.add_edge(499, 0)
    begun = time.process_time()
    with pytest.raises(WiringError, match="acyclic"):
        check(dag)
    assert time.process_time() - begun < 10


@given(n=st.integers(1, 12), data=st.data())
def test_terminals_make_any_dag_a_wiring(n: int, data: st.DataObject) -> None:
    pairs = [(i, j) for j in range(n) for i in range(j)]
    chosen = data.draw(st.sets(st.sampled_from(pairs)) if pairs else st.just(set()))
    inner = nx.DiGraph(name="mine")
    inner.add_nodes_from(range(n), mark=1)
    inner.add_edges_from(chosen, weight=0.5)
    dag = check(with_terminals(inner))
    assert len(dag) == n + 2 and dag.graph == {"name": "mine"}
    kept = {(i - 1, j - 1) for i, j, weight in dag.edges(data="weight") if weight}
    assert kept == chosen
    assert set(dag.succ[0]) == {v + 1 for v in range(n) if not inner.pred[v]}
    assert set(dag.pred[n + 1]) == {v + 1 for v in range(n) if not inner.succ[v]}
    assert [v for v, mark in dag.nodes(data="mark") if mark] == [*range(1, n + 1)]


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (nx.DiGraph(), "must have a node that computes"),
        (nx.DiGraph([(1, 0)]), "topological order"),
        (nx.Graph([(0, 1)]), "undirected"),
    ],
)
def test_terminals_reject_what_is_no_dag(inner: nx.Graph, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        with_terminals(inner)
