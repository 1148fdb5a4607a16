"""What a wiring is, and the words for what is none."""

import time

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.wiring import MAX_NODES, WiringError, check, edge_list, with_terminals

CHAIN = [(0, 1), (1, 2), (2, 3)]


def test_returns_the_same_graph() -> None:
    dag = nx.DiGraph(CHAIN)
    assert check(dag) is dag


@given(st.permutations(range(5)), st.permutations([(0, 1), (0, 2), (1, 3), (2, 4)]))
def test_order_of_nodes_and_edges_does_not_matter(
    nodes: list[int], edges: list[tuple[int, int]]
) -> None:
    dag = nx.DiGraph()
    dag.add_nodes_from(nodes)
    dag.add_edges_from([(3, 4), *edges])
    assert edge_list(check(dag)) == [(0, 1), (0, 2), (1, 3), (2, 4), (3, 4)]


@pytest.mark.parametrize(
    ("graph", "message"),
    [
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
        (nx.DiGraph([*CHAIN, (4, 5), (3, 5)]), "node 4 has no input edge"),
        (nx.DiGraph([(0, 3), (1, 3), (2, 3)]), "nodes 1, 2 have no input edge"),
        (nx.DiGraph([*CHAIN, (0, 4), (3, 4), (1, 5), (4, 6)]), "node 5 has no output"),
    ],
)
def test_says_which_rule_and_what_came(graph: nx.Graph, message: str) -> None:
    with pytest.raises(WiringError, match=message) as caught:
        check(graph)
    assert "\n" not in str(caught.value)


def test_shows_a_long_cycle_in_short() -> None:
    ring = nx.DiGraph([(i, (i + 1) % 500) for i in range(500)])
    with pytest.raises(WiringError, match=r"0 -> 1 -> .* -> \.\.\. -> 0$") as caught:
        check(ring)
    assert len(str(caught.value)) < 120


def test_has_a_largest_size() -> None:
    chain = nx.path_graph(MAX_NODES + 1, create_using=nx.DiGraph)
    with pytest.raises(WiringError, match=f"at most {MAX_NODES} nodes, got 10001"):
        check(chain)


def test_finds_the_cycle_of_a_dense_graph_at_once() -> None:
    dag = nx.DiGraph((i, j) for j in range(500) for i in range(j))
    dag.add_edge(499, 0)
    begun = time.process_time()
    with pytest.raises(WiringError, match="acyclic"):
        check(dag)
    assert time.process_time() - begun < 10


@given(
    n=st.integers(1, 12),
    data=st.data(),
)
def test_terminals_make_any_dag_a_wiring(n: int, data: st.DataObject) -> None:
    pairs = [(i, j) for j in range(n) for i in range(j)]
    chosen = data.draw(st.sets(st.sampled_from(pairs)) if pairs else st.just(set()))
    inner = nx.DiGraph()
    inner.add_nodes_from(range(n))
    inner.add_edges_from(chosen)
    dag = check(with_terminals(inner))
    assert len(dag) == n + 2
    kept = {(i - 1, j - 1) for i, j in dag.edges if i > 0 and j < n + 1}
    assert kept == chosen
    assert set(dag.succ[0]) == {v + 1 for v in range(n) if not inner.pred[v]}
    assert set(dag.pred[n + 1]) == {v + 1 for v in range(n) if not inner.succ[v]}


def test_an_isolated_node_hears_the_input_and_feeds_the_output() -> None:
    inner = nx.DiGraph([(0, 2)])
    inner.add_node(1)
    dag = with_terminals(inner)
    assert (0, 2) in dag.edges and (2, 4) in dag.edges


def test_terminals_keep_what_the_graph_says_of_itself_and_its_edges() -> None:
    inner = nx.DiGraph([(0, 1, {"weight": 0.5}), (0, 2)], generator="mine")
    dag = with_terminals(inner)
    assert dag.graph == {"generator": "mine"}
    assert dict(dag.edges) == {
        (0, 1): {},
        (1, 2): {"weight": 0.5},
        (1, 3): {},
        (2, 4): {},
        (3, 4): {},
    }


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (nx.DiGraph(), "at least one node that computes"),
        (nx.DiGraph([(1, 0)]), "topological order"),
        (nx.Graph([(0, 1)]), "undirected"),
    ],
)
def test_terminals_reject_what_is_no_dag(inner: nx.Graph, message: str) -> None:
    with pytest.raises(WiringError, match=message):
        with_terminals(inner)
