"""What closing edges would leave is what a network with these thresholds has."""

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.analysis.closing import closed_below
from ddw_graph.training.collection import StageEdges
from tests.analysis.test_collect import collected, some_images, some_model
from tests.strategies import wirings


@given(dag=wirings(), tau=st.floats(0, 1), seed=st.integers(0, 99))
def test_is_the_rule_node_by_node(dag: nx.DiGraph, tau: float, seed: int) -> None:
    generator = np.random.default_rng(seed)
    edges = sorted(dag.edges)
    nodes = dag.number_of_nodes()
    weights = generator.random((4, len(edges)))
    weights[generator.random(weights.shape) < 0.2] = 0
    constant = generator.random(len(edges)) < 0.2
    stage = StageEdges(
        nodes, np.array(edges), constant, np.arange(nodes), np.arange(len(edges))
    )
    left = closed_below(stage, weights, tau)
    for sample, values in enumerate(weights):
        alive, open_edges = {0}, set()
        for node in range(nodes - 1):
            sent = [e for e, (source, _) in enumerate(edges) if source == node]
            if node not in alive or not sent:
                continue
            chosen = [
                e for e in sent if values[e] and (values[e] >= tau or constant[e])
            ]
            if not chosen and max(values[sent]):
                chosen = [max(sent, key=lambda e: values[e])]
            open_edges |= set(chosen)
            alive |= {edges[e][1] for e in chosen}
        assert set(np.nonzero(left.open[sample])[0]) == open_edges
        assert set(np.nonzero(left.alive[sample])[0]) == alive
        assert left.macs[sample] == sum(open_edges) + sum(alive)


@pytest.mark.parametrize("tau", [0.0, 0.5, 0.6])
def test_is_what_a_network_with_this_threshold_has(tau: float) -> None:
    settings = "dynamic:router_std=1,bias=0,gate=none"
    model = some_model(settings)
    collection = collected(model, some_images())
    closing = some_model(f"{settings.replace('none', 'eq5')},threshold={tau}")
    closing.load_state_dict(model.state_dict(), strict=False)
    x, _ = some_images().tensors
    with torch.no_grad():
        _, adjacency = closing(x, return_adjacency=True)
    # The first node gets the same image in both, later nodes what is left of it.
    stage, matrix = collection.stages[0], adjacency[0].numpy()
    left = closed_below(stage, np.asarray(collection.weights(0)), tau)
    source, target = stage.edges.T
    first = source == 0
    is_open = matrix[:, target[first], 0] > 0
    np.testing.assert_array_equal(left.open[:, first], is_open)
    assert tau < 0.5 or not is_open.all()


def test_all_stages_and_the_rest_are_the_networks_macs() -> None:
    settings = "dynamic:router_std=1,bias=0,gate=hard,threshold=0.5"
    collection = collected(some_model(settings), some_images())
    total = np.full(23, collection.other_macs)
    for place, stage in enumerate(collection.stages):
        weights = np.asarray(collection.weights(place))
        total += closed_below(stage, weights, 0).macs
    expected = collection.column("expected_macs")
    assert expected.min() < expected.max()
    np.testing.assert_allclose(total, expected, rtol=1e-6)
