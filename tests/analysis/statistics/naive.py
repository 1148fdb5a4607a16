"""Collections made of arrays, and the statistics of them by plain loops."""

from collections.abc import Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd

from ddw_graph.analysis.collect import Collection, StageEdges


def stored(
    folder: Path,
    dags: Sequence[nx.DiGraph],
    weights: Sequence[np.ndarray],
    labels: np.ndarray,
    *,
    classes: Sequence[str] = ("a", "b", "c"),
    constant: Sequence[int] = (),
) -> Collection:
    """Returns a collection of these weights; some places of edges are constant."""
    folder.mkdir(parents=True, exist_ok=True)
    stages = []
    for place, (dag, values) in enumerate(zip(dags, weights, strict=True), start=1):
        edges = np.array(sorted(dag.edges))
        np.save(folder / f"stage-{place}.npy", values.astype(np.float32))
        fixed = np.isin(np.arange(len(edges)), constant)
        nodes = np.ones(dag.number_of_nodes(), dtype=np.int64)
        ones = np.ones(len(edges), dtype=np.int64)
        stages.append(StageEdges(len(nodes), edges, fixed, nodes, ones))
    count = len(labels)
    generator = np.random.default_rng(count)
    table = pd.DataFrame(
        {
            "label": labels,
            "prediction": generator.integers(len(classes), size=count),
            "loss": generator.random(count),
            "expected_macs": generator.integers(1, 100, size=count).astype(float),
        }
    )
    table.to_csv(folder / "samples.csv", index=False)
    return Collection(folder, tuple(stages), count, tuple(classes), 0)


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
