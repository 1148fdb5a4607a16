"""RandWire's generators, count by count."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import barabasi_albert, erdos_renyi, watts_strogatz
from ddw_graph.wiring import WiringError


def inner_edges(dag: nx.DiGraph) -> set[tuple[int, int]]:
    """Returns the edges among computing nodes, numbered from 0."""
    last = len(dag) - 1
    return {(i - 1, j - 1) for i, j in dag.edges if i > 0 and j < last}


@pytest.mark.parametrize("seed", range(5))
def test_ba_begins_with_nodes_and_no_edge(seed: int) -> None:
    dag = barabasi_albert(32, 5, seed=seed)
    assert len(inner_edges(dag)) == 135
    assert list(dag.succ[0]) == [1, 2, 3, 4, 5]
    # The first node to come hears all five.
    assert list(dag.pred[6]) == [1, 2, 3, 4, 5]


@given(n=st.integers(2, 40), data=st.data(), seed=st.integers(0, 2**32))
def test_ba_brings_m_edges_a_node(n: int, data: st.DataObject, seed: int) -> None:
    m = data.draw(st.integers(1, n - 1))
    dag = barabasi_albert(n, m, seed=seed)
    assert len(inner_edges(dag)) == m * (n - m)
    assert all(len(dag.pred[j]) == m for j in range(m + 1, n + 1))


def ring(n: int, k: int) -> set[tuple[int, int]]:
    """Returns the edges of a ring whose nodes are joined to their k nearest."""
    pairs = [(i, (i + d) % n) for i in range(n) for d in range(1, k // 2 + 1)]
    return {(min(pair), max(pair)) for pair in pairs}


def test_ws_without_rewiring_is_the_ring() -> None:
    assert inner_edges(watts_strogatz(32, 4, 0.0, seed=0)) == ring(32, 4)


@pytest.mark.parametrize("seed", range(10))
def test_ws_is_rewired(seed: int) -> None:
    dag = watts_strogatz(32, 4, 0.75, seed=seed)
    kept = inner_edges(dag) & ring(32, 4)
    # A quarter of 64 stays, and some edges fall back on the ring by chance.
    assert 5 <= len(kept) <= 35


@given(n=st.integers(5, 40), p=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_ws_is_connected_and_keeps_its_edges(n: int, p: float, seed: int) -> None:
    dag = watts_strogatz(n, 4, p, seed=seed)
    assert len(inner_edges(dag)) == 2 * n
    inner = nx.Graph(inner_edges(dag))
    assert len(inner) == n and nx.is_connected(inner)


def test_ws_says_when_no_draw_was_connected() -> None:
    with pytest.raises(WiringError, match="no connected graph in 2 draws of ws"):
        watts_strogatz(500, 2, 1.0, seed=0, tries=2)


@pytest.mark.parametrize("seed", [3, 44, 83])
def test_er_keeps_an_isolated_node(seed: int) -> None:
    dag = erdos_renyi(32, 0.2, seed=seed)
    alone = [v for v in range(1, 33) if list(dag.pred[v]) == [0]]
    alone = [v for v in alone if list(dag.succ[v]) == [33]]
    assert len(alone) == 1
    plain = nx.gnp_random_graph(32, 0.2, seed=seed)
    assert alone == [v + 1 for v in nx.isolates(plain)]


@given(n=st.integers(1, 30), p=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_er_is_networkx_own_graph(n: int, p: float, seed: int) -> None:
    plain = nx.gnp_random_graph(n, p, seed=seed)
    assert inner_edges(erdos_renyi(n, p, seed=seed)) == set(plain.edges)


def test_er_at_its_ends() -> None:
    assert not inner_edges(erdos_renyi(9, 0.0, seed=0))
    assert len(inner_edges(erdos_renyi(9, 1.0, seed=0))) == 36
