"""The shares of variance are those of its parts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.experiments.variation import variation


@given(st.integers(0, 99))
def test_shares_are_of_the_variance_of_all_weights(seed: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, 30)
    weights = generator.random((30, 4)) + 0.2 * labels[:, None]
    found = variation(weights, labels)
    within = np.mean([weights[:, edge].var() for edge in range(4)])
    assert found.image_share == pytest.approx(within / weights.var())
    assert found.std == pytest.approx(weights.std(0).mean())
    classes = weights.copy()
    for label in set(labels.tolist()):
        classes[labels == label] = weights[labels == label].mean(0)
    assert found.class_share == pytest.approx(classes.var(0).mean() / within)


def test_what_does_not_vary_has_no_share() -> None:
    labels = np.arange(10) % 2
    same = variation(np.full((10, 3), 0.1), labels)
    assert (same.std, same.image_share, same.class_share) == (0.0, None, None)
    edges = variation(np.tile([0.1, 0.7], (10, 1)), labels)
    assert (edges.std, edges.image_share, edges.class_share) == (0.0, 0.0, None)
    assert variation(np.zeros((10, 0)), labels).edges == 0
