"""Collections made of arrays, and the statistics of them by plain loops."""

from collections.abc import Sequence

import networkx as nx
import numpy as np

from ddw_graph.training.collection import Collection, StageEdges


def stored(
    dags: Sequence[nx.DiGraph],
    weights: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    classes: Sequence[str] = ("a", "b", "c"),
    constant: Sequence[int] = (),
) -> Collection:
    """Returns a collection of these weights; some places of edges are constant."""
    stages = []
    for dag in dags:
        edges = np.array(sorted(dag.edges))
        fixed = np.isin(np.arange(len(edges)), constant)
        nodes = np.ones(dag.number_of_nodes(), dtype=np.int64)
        ones = np.ones(len(edges), dtype=np.int64)
        stages.append(StageEdges(len(nodes), edges, fixed, nodes, ones))
    count = len(labels)
    generator = np.random.default_rng(count)
    columns = {
        "label": labels,
        "prediction": generator.integers(len(classes), size=count),
        "loss": generator.random(count),
        "expected_macs": generator.integers(1, 100, size=count).astype(float),
    }
    arrays = tuple(values.astype(np.float32) for values in weights)
    return Collection(tuple(stages), arrays, columns, tuple(classes))


def random_weights(
    dag: nx.DiGraph, samples: int, seed: int, *, closed: float = 0.2
) -> np.ndarray:
    """Returns weights in which some edges are closed, but never all of a node's."""
    generator = np.random.default_rng(seed)
    edges = sorted(dag.edges)
    weights = generator.uniform(0.05, 1, (samples, len(edges))).astype(np.float32)
    weights[generator.random(weights.shape) < closed] = 0
    for node in dag:
        (sent,) = np.nonzero([source == node for source, _ in edges])
        if len(sent):
            lost = ~weights[:, sent].any(1)
            weights[lost, sent[0]] = 0.5
    return weights
