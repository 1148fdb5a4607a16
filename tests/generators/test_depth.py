"""Wirings whose connections reach over depth, edge by edge."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.generators import dilated, streams
from ddw_graph.wiring import computing_nodes, edge_attributes, edge_list

SMALL = st.integers(1, 12)


@given(n=SMALL, dilation=SMALL, period=SMALL)
def test_dilated_averages_what_denseformer_does(
    n: int, dilation: int, period: int
) -> None:
    # X_0 is the embedding, and block i + 1 (or the head) reads Y_i.
    groups: list[list[int]] = [[] for _ in range(dilation)]
    dag = dilated(n, dilation, period)
    for i in range(n + 1):
        groups[i % dilation].append(i)
        averaged = groups[i % dilation] if i % period == 0 else [i]
        assert sorted(dag.pred[i + 1]) == averaged


def test_dilated_4_times_5_of_48_blocks() -> None:
    dag = dilated(48, 4, 5)
    alphas = sum(len(dag.pred[j]) for j in range(6, 50, 5))
    assert (alphas, dag.number_of_edges()) == (62, 49 + 62 - 9)


@given(n=st.integers(1, 8), width=st.integers(1, 5))
def test_streams_are_read_mixed_and_written_by_every_layer(n: int, width: int) -> None:
    dag = streams(n, width)
    layers, last = computing_nodes(dag), len(dag) - 1
    before = [0]
    for place, layer in enumerate(layers):
        assert sorted(dag.pred[layer]) == before
        read = [dag.edges[i, layer]["weight"] for i in before]
        assert read == np.eye(len(before))[place % len(before)].tolist()
        after = [*range(layer + 1, layer + 1 + width)] if place < n - 1 else [last]
        for node in after:
            assert sorted(dag.pred[node]) == [*before, layer]
            assert dag.nodes[node].get("operation") == (
                "identity" if node < last else None
            )
        before = after


@given(n=st.integers(1, 8), width=st.integers(1, 5))
def test_streams_start_as_the_residual_network(n: int, width: int) -> None:
    # What each node emits, as multiples of the input and of what each layer adds.
    dag = streams(n, width)
    weights = dict(zip(edge_list(dag), edge_attributes(dag) or (), strict=True))
    terms, added = np.eye(n + 1), 0
    emitted = [terms[0]]
    for node in range(1, len(dag)):
        total = sum(weights[i, node] * emitted[i] for i in dag.pred[node])
        if node in computing_nodes(dag):
            residual = np.concatenate([np.ones(added + 1), np.zeros(n - added)])
            np.testing.assert_allclose(total, residual)
            added += 1
            total = terms[added]
        emitted.append(total)
    np.testing.assert_allclose(emitted[-1], np.ones(n + 1))
