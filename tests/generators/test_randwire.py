"""RandWire's generators, count by count."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import (
    barabasi_albert,
    erdos_renyi,
    randwire,
    watts_strogatz,
)
from ddw_graph.wiring import WiringError

SEEDS = st.integers(0, 2**32)


def inner_edges(dag: nx.DiGraph) -> set[tuple[int, int]]:
    """Returns the edges among computing nodes, numbered from 0."""
    last = len(dag) - 1
    return {(i - 1, j - 1) for i, j in dag.edges if i > 0 and j < last}


@given(n=st.integers(2, 40), data=st.data(), seed=SEEDS)
def test_ba_begins_without_edges_and_brings_m_a_node(
    n: int, data: st.DataObject, seed: int
) -> None:
    m = data.draw(st.integers(1, n - 1))
    dag = barabasi_albert(n, m, seed=seed)
    assert len(inner_edges(dag)) == m * (n - m)
    assert all(len(dag.pred[j]) == m for j in range(m + 1, n + 1))
    assert list(dag.succ[0]) == list(dag.pred[m + 1]) == list(range(1, m + 1))


def ring(n: int, k: int) -> set[tuple[int, int]]:
    """Returns the edges of a ring whose nodes are joined to their k nearest."""
    pairs = [(i, (i + d) % n) for i in range(n) for d in range(1, k // 2 + 1)]
    return {(min(pair), max(pair)) for pair in pairs}


@given(n=st.integers(5, 40), p=st.floats(0, 1), seed=SEEDS)
def test_ws_is_connected_and_keeps_its_edges(n: int, p: float, seed: int) -> None:
    dag = watts_strogatz(n, 4, p, seed=seed)
    assert len(inner_edges(dag)) == 2 * n
    inner = nx.Graph(inner_edges(dag))
    assert len(inner) == n and nx.is_connected(inner)
    assert inner_edges(watts_strogatz(n, 4, 0.0, seed=seed)) == ring(n, 4)


def test_ws_without_a_connected_draw_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(randwire, "TRIES", 2)
    with pytest.raises(WiringError, match="must be connected.* n=500, k=2, p=1.0"):
        watts_strogatz(500, 2, 1.0, seed=0)


@given(n=st.integers(1, 30), p=st.sampled_from([0.0, 0.2, 1.0]), seed=SEEDS)
def test_er_is_networkx_own_graph_with_its_isolated_nodes(
    n: int, p: float, seed: int
) -> None:
    plain = nx.gnp_random_graph(n, p, seed=seed)
    dag = erdos_renyi(n, p, seed=seed)
    assert inner_edges(dag) == set(plain.edges)
    for node in nx.isolates(plain):
        assert list(dag.pred[node + 1]) == [0] and list(dag.succ[node + 1]) == [n + 1]
