"""Comparing wirings."""

import networkx as nx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import complete, erdos_renyi, vgg
from ddw_graph.wiring import WiringError, diff


@given(n=st.integers(1, 9), seeds=st.tuples(st.integers(0, 99), st.integers(0, 99)))
def test_adds_up(n: int, seeds: tuple[int, int]) -> None:
    first, second = (erdos_renyi(n, 0.4, seed=seed) for seed in seeds)
    found = diff(first, second)
    assert found.shared + len(found.only_first) == first.number_of_edges()
    assert found.shared + len(found.only_second) == second.number_of_edges()
    assert not set(found.only_first) & set(found.only_second)
    assert found.equal == (first.edges == second.edges)
    back = diff(second, first)
    assert (back.only_first, back.only_second) == (found.only_second, found.only_first)


def test_a_chain_within_the_complete_dag() -> None:
    found = diff(vgg(4), complete(4))
    assert (found.shared, found.only_first, len(found.only_second)) == (5, (), 10)
    assert found.similarity == 5 / 15
    assert found.as_dict()["nodes"] == [6, 6]


def test_lengths_may_differ() -> None:
    found = diff(vgg(2), vgg(3))
    assert found.nodes == (4, 5) and found.only_second == ((3, 4),)
    assert not found.equal


def test_checks_both() -> None:
    with pytest.raises(WiringError, match="self-loop"):
        diff(vgg(2), nx.DiGraph([(0, 1), (1, 1), (1, 2)]))


def test_nodes_that_compute_in_one_only_are_named() -> None:
    plain, other = vgg(3), vgg(3)
    other.nodes[2]["operation"] = "identity"
    found = diff(plain, other)
    assert found.computing == (2,) and found.similarity == 1
    assert not found.equal and diff(other, other).equal
    assert diff(vgg(1), other).computing == ()  # nodes that only one has


def test_edges_of_another_weight_are_told() -> None:
    heavy = vgg(2)
    heavy.edges[1, 2]["weight"] = 2.0
    heavy.edges[0, 1]["weight"] = 1  # as without
    found = diff(vgg(2), heavy)
    assert found.reweighted == ((1, 2),) and found.similarity == 1
    assert not found.equal and diff(heavy, heavy).equal
