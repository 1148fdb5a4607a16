"""Collections and sweeps in which what is to be told was planted."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd

from ddw_graph.generators import from_text
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.training.collection import FORMAT, VERSION, Collection, open_collection
from ddw_graph.training.run import RESULT, write_json
from ddw_graph.wiring import edge_list, to_dict

CLASSES = ("a", "b", "c")


def stored(
    folder: Path,
    dags: Sequence[nx.DiGraph],
    weights: Sequence[np.ndarray],
    labels: np.ndarray,
    constant: Callable[[int, int], bool] = lambda i, j: False,
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
        "classes": CLASSES,
        "other_macs": 0,
        "stages": stages,
    }
    (folder / "collection.json").write_text(json.dumps(content))
    table = pd.DataFrame({"label": labels, "prediction": labels, "loss": 0.5})
    table.assign(expected_macs=1.0).to_csv(folder / "samples.csv", index=False)
    return open_collection(folder)


def one_edge_decides(
    folder: Path, samples: int = 150, *, shuffle: bool = False
) -> Collection:
    """Returns a collection in which the class decides one edge's weight, no other."""
    dags = [from_text("complete", n=3, seed=0) for _ in range(2)]
    draw = np.random.default_rng(5)
    labels = draw.permutation(np.arange(samples) % 3)
    weights = [draw.uniform(0.4, 0.6, (samples, dag.number_of_edges())) for dag in dags]
    weights[1][:, 4] = 0.4 + 0.1 * labels + draw.normal(0, 0.01, samples)
    told = draw.permutation(labels) if shuffle else labels
    return stored(folder, dags, weights, told)


def swept(
    folder: Path,
    results: Sequence[tuple[Sequence[nx.DiGraph], dict[str, Any] | None]],
    axes: Sequence[str] = ("seed", "wiring"),
) -> Path:
    """Writes the folder of a sweep with these wirings and results, None of waiting."""
    sweep = SweepFolder(folder)
    (folder / "jobs").mkdir(parents=True)
    config = {"fixed": {}, "axes": list(axes)}
    write_json(folder / "config.json", {"config": config, "environment": {}})
    names = [f"run-{place}" for place in range(len(results))]
    sweep.write_runs(dict.fromkeys(names, 1))
    for name, (dags, result) in zip(names, results, strict=True):
        plan = {
            "point": {"seed": 0},
            "model": {
                "wirings": [to_dict(dag) for dag in dags],
                "edges": "learned",
                "channels": 4,
            },
            "recipe": {},
            "source": {"root": None},
            "seed": 0,
        }
        write_json(sweep.job(name, ".json"), plan)
        if result is not None:
            (folder / "runs" / name).mkdir(parents=True)
            numbers = {**dict.fromkeys(RESULT, 1.0), **result}
            write_json(folder / "runs" / name / "result.json", numbers)
    return folder


def sources_decide(folder: Path, runs: int = 48, finished: int | None = None) -> Path:
    """Returns a sweep in which the share of sources decides the accuracy."""
    found = []
    for seed in range(runs):
        p = (0.1, 0.3, 0.5)[seed % 3]
        dags = [from_text(f"er:p={p}", n=8, seed=2 * seed + k) for k in range(2)]
        share = np.mean([len(dag.succ[0]) / 8 for dag in dags])
        waits = finished is not None and seed >= finished
        found.append((dags, None if waits else {"test_accuracy": float(share)}))
    return swept(folder, found)
