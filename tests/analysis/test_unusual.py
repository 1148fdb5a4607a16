"""Unusualness is the distance from the mean of the class, by the naive loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddw_graph.analysis.unusual import class_means, unusualness


@given(seed=st.integers(0, 99), samples=st.integers(1, 12), classes=st.integers(1, 4))
def test_is_the_naive_loop(seed: int, samples: int, classes: int) -> None:
    generator = np.random.default_rng(seed)
    labels = generator.integers(classes, size=samples)
    stages = [generator.random((samples, e)).astype(np.float32) for e in (3, 5)]
    found = unusualness(stages, labels)
    wirings = np.concatenate(stages, axis=1).astype(np.float64)
    for sample in range(samples):
        mean = wirings[labels == labels[sample]].mean(0)
        assert found[sample] == pytest.approx(np.linalg.norm(wirings[sample] - mean))
    means = class_means(stages[0], labels, classes)
    for label in range(classes):
        mine = stages[0][labels == label].astype(np.float64)
        if len(mine):
            np.testing.assert_allclose(means[label], mine.mean(0))
        else:
            assert np.isnan(means[label]).all()
