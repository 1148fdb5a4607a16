"""Collections in which what is to be predicted was planted."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd

from ddw_graph.generators import from_text
from ddw_graph.training.collection import FORMAT, VERSION, Collection, open_collection
from ddw_graph.wiring import edge_list

CLASSES = ("a", "b", "c")


def stored(
    folder: Path,
    dags: Sequence[nx.DiGraph],
    weights: Sequence[np.ndarray],
    labels: np.ndarray,
    constant: Callable[[int, int], bool] = lambda i, j: False,
    classes: Sequence[str] = CLASSES,
) -> Collection:
    """Writes a collection of these wirings and weights, and opens it."""
    folder.mkdir(parents=True)
    stages = []
    for place, (dag, array) in enumerate(zip(dags, weights, strict=True)):
        np.save(folder / f"stage-{place + 1}.npy", array.astype(np.float32))
        edges = edge_list(dag)
        stages.append(
            {
                "nodes": len(dag),
                "edges": edges,
                "constant": [constant(i, j) for i, j in edges],
                "node_macs": [1] * len(dag),
                "edge_macs": [1] * len(edges),
            }
        )
    content = {
        "format": FORMAT,
        "version": VERSION,
        "samples": len(labels),
        "classes": list(classes),
        "other_macs": 0,
        "stages": stages,
    }
    (folder / "collection.json").write_text(json.dumps(content))
    table = pd.DataFrame({"label": labels, "prediction": labels, "loss": 0.5})
    table.loc[::3, "prediction"] = (table["label"] + 1) % 3
    table.assign(expected_macs=1.0).to_csv(folder / "samples.csv", index=False)
    return open_collection(folder)


def one_edge_decides(
    folder: Path,
    samples: int = 150,
    *,
    shuffle: bool = False,
    classes: Sequence[str] = CLASSES,
) -> Collection:
    """Returns a collection in which the class decides one edge's weight, no other."""
    dags = [from_text("complete", n=3, seed=0) for _ in range(2)]
    draw = np.random.default_rng(5)
    labels = draw.permutation(np.arange(samples) % 3)
    weights = [draw.uniform(0.4, 0.6, (samples, dag.number_of_edges())) for dag in dags]
    weights[1][:, 4] = 0.4 + 0.1 * labels + draw.normal(0, 0.01, samples)
    labels = draw.permutation(labels) if shuffle else labels
    return stored(folder, dags, weights, labels, classes=classes)
