"""One wiring for each stage."""

from functools import partial
from typing import Any

import networkx as nx
import pytest

from ddw_graph.generators import (
    complete,
    stage_wirings,
    streams,
    vgg,
    watts_strogatz,
)
from ddw_graph.generators.stages import stage_seeds
from ddw_graph.wiring import WiringError


def test_neighbouring_seeds_share_no_graph_and_any_can_be_drawn_again() -> None:
    drawn = [
        tuple(dag.edges)
        for seed in range(50)
        for dag in stage_wirings("ws:k=4,p=0.75", [16] * 3, seed=seed)
    ]
    assert len(set(drawn)) == 150
    seed = stage_seeds(9, 2)[1]
    again = watts_strogatz(32, 4, 0.75, seed=seed)
    dag = stage_wirings("ws:k=4,p=0.75", [16, 32], seed=9)[1]
    assert nx.utils.graphs_equal(dag, again) and seed < 2**53


@pytest.mark.parametrize(
    ("wiring", "nodes", "sizes"),
    [
        ("complete", [1, 4], [3, 6]),
        (vgg, [1, 4], [3, 6]),
        (vgg(3), [3, None], [5, 5]),
        ([vgg(1), vgg(2)], [1, None], [3, 4]),
        ("streams:width=3", [1, 4], [3, 15]),
        ([vgg, "complete", complete(2), "vgg:n=7"], [5, 5, 2, None], [7, 7, 4, 9]),
    ],
)
def test_what_may_be_a_wiring(
    wiring: Any, nodes: list[int | None], sizes: list[int]
) -> None:
    assert [len(dag) for dag in stage_wirings(wiring, nodes, seed=0)] == sizes


def test_a_function_that_takes_a_seed_gets_one_of_each_stage() -> None:
    function = partial(watts_strogatz, k=4, p=0.75)
    found = stage_wirings(function, [16, 16], seed=5)
    wanted = stage_wirings("ws:k=4,p=0.75", [16, 16], seed=5)
    assert all(map(nx.utils.graphs_equal, found, wanted))


@pytest.mark.parametrize(
    ("wiring", "nodes", "message"),
    [
        (vgg(3), [3, 4], r"stage 2: .* has 4 computing nodes \(n\), .* n=3"),
        (streams(3, 2), [7], r"has 7 computing nodes \(n\), .* n=3"),
        ([vgg(3)], [3, 3], "one for each of the 2 stages, got 1"),
        ([vgg(3), "ws"], [3, 3], "stage 2: ws needs k and p"),
        (lambda n: vgg(n + 1), [3], "stage 1: .*n=4"),
        (lambda n: nx.DiGraph([(0, 1)]), [1], "stage 1: .*at least 3"),
        (vgg, [None], "stage 1: a function from n to a DAG needs n"),
        ("vgg", [3, None], "stage 2: vgg needs n"),
        ("vgg:n=4", [4, 3], "stage 2: n must be 4, that of vgg:n=4, got n=3"),
        (nx.DiGraph([(0, 1), (1, 1), (1, 2)]), [1], "stage 1: .*self-loop"),
    ],
)
def test_names_the_stage_that_is_wrong(
    wiring: object, nodes: list[int | None], message: str
) -> None:
    with pytest.raises(WiringError, match=message):
        stage_wirings(wiring, nodes, seed=0)
