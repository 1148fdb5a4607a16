"""Comparing wirings."""

from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import erdos_renyi, vgg
from ddw_graph.wiring import diff

N = st.integers(1, 9)
SEED = st.integers(0, 99)


@given(n=N, other=N, seed=SEED, again=SEED)
def test_adds_up(n: int, other: int, seed: int, again: int) -> None:
    first, second = erdos_renyi(n, 0.4, seed=seed), erdos_renyi(other, 0.4, seed=again)
    found = diff(first, second)
    assert found.nodes == (n + 2, other + 2)
    assert found.shared + len(found.only_first) == first.number_of_edges()
    assert found.shared + len(found.only_second) == second.number_of_edges()
    assert not set(found.only_first) & set(found.only_second)
    assert (found.similarity == 1) == (first.edges == second.edges)
    back = diff(second, first)
    assert (back.only_first, back.only_second) == (found.only_second, found.only_first)


def test_nodes_that_compute_in_one_only_and_edges_of_other_weight() -> None:
    plain, other = vgg(3), vgg(3)
    other.nodes[2]["operation"] = "identity"
    other.edges[0, 1]["weight"] = 1  # as without
    found = diff(plain, other)
    assert (found.computing, found.reweighted, found.similarity) == ((2,), (), 1)
    assert diff(vgg(1), other).computing == ()  # nodes that only one has
    heavy = vgg(3)
    heavy.edges[1, 2]["weight"] = 2.0
    found = diff(plain, heavy)
    assert (found.computing, found.reweighted, found.similarity) == ((), ((1, 2),), 1)
    same = diff(heavy, heavy)
    assert (same.computing, same.reweighted, same.only_first) == ((), (), ())
