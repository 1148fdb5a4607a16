"""What can be predicted from wirings: an image's class, a run's result."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ddw_graph.analysis.learning.cross_validation import (
    Answer,
    Places,
    Targets,
    cross_validated,
    splits,
)
from ddw_graph.analysis.learning.graph_network import network_predictions
from ddw_graph.analysis.learning.graphs import (
    collection_graphs,
    wirings_graph,
)
from ddw_graph.errors import DataError
from ddw_graph.experiments.table import graph_properties
from ddw_graph.training.collection import Collection
from ddw_graph.training.run import Run
from ddw_graph.wiring import edge_list, from_dict

REPEATS = 3
"""Divisions of runs, which are few, into folds."""

Progress = Callable[[int, int], None]


def predict_classes(
    collection: Collection,
    *,
    target: str = "class",
    epochs: int = 20,
    folds: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer:
    """Returns how well each sample's class is predicted from its wiring only.

    By a graph network, a logistic regression on the weights of the edges, and the most
    frequent class.

    Args:
        collection: The wirings.
        target: ``class``, or ``correct``: whether the network predicted the class.
        epochs: Passes of the graph network over the training samples.
        folds: Each is held out once.
        seed: Fixes folds and graph networks.
        progress: Called with folds done and folds in all.

    Raises:
        DataError: If no edge differs between samples, or a class has fewer samples than
            folds.
    """
    rows = collection.rows().astype(np.float64)
    if not np.isfinite(rows).all():
        raise DataError(f"{collection.folder} must hold finite weights, got others")
    edges = int((np.ptp(rows, axis=0) > 0).sum())
    if not edges:
        raise DataError(
            f"some edge must differ between samples, got {rows.shape[1]} edges with "
            "one weight for all; collect a network with dynamic edges"
        )
    labels = collection.column("label")
    if target == "correct":
        labels = (labels == collection.column("prediction")).astype(np.int64)
    graphs = collection_graphs(collection)
    plain = [graph.edge_attr for graph in graphs]

    def network(train: Places, test: Places, seed: int) -> Targets:
        # Weights of two edges differ more than one edge's do between samples: each is
        # also given in the mean and standard deviation of its training samples.
        scaled = StandardScaler().fit(rows[train]).transform(rows)
        for graph, attributes, row in zip(graphs, plain, scaled, strict=True):
            column = torch.from_numpy(row).float()[:, None]
            graph.edge_attr = torch.cat([attributes, column], 1)
        return network_predictions(
            graphs, labels, train, test, epochs=epochs, seed=seed
        )

    regression = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    return cross_validated(
        network,
        {"logistic regression": regression, "most frequent": DummyClassifier()},
        rows,
        labels,
        [splits(labels, folds=folds, seed=seed)],
        about=f"{target} of {len(rows)} samples with {len(np.unique(labels))} labels, "
        f"from {edges} edges that differ between samples; {folds} folds",
        seed=seed,
        progress=progress,
    )


def finished_runs(folders: Sequence[Path]) -> list[Run]:
    """Returns the finished runs of networks in folders: runs, sweeps, comparisons.

    Raises:
        DataError: If there is none.
        RunError: If a file is damaged.
    """
    paths = {path.parent for folder in folders for path in folder.rglob("config.json")}
    runs = [
        run
        for run in map(Run, sorted(paths))
        if isinstance(model := run.config.get("model"), dict)
        and "wirings" in model
        and run.result is not None
    ]
    if not runs:
        names = ", ".join(map(str, folders))
        raise DataError(f"there must be finished runs of networks, got none in {names}")
    return runs


def predict_results(
    runs: Sequence[Run],
    *,
    target: str = "test_accuracy",
    epochs: int = 100,
    folds: int = 5,
    seed: int = 0,
    progress: Progress | None = None,
) -> Answer:
    """Returns how well each run's result is predicted from its wirings only.

    By a graph network, a ridge regression on properties of the graphs (clustering, path
    length, edges, depth, inputs of a node), and the mean. Runs with the same wirings
    are held out together.

    Args:
        runs: The runs.
        target: A number of their results.
        epochs: Passes of the graph network over the training runs.
        folds: Each is held out once in each of three divisions.
        seed: Fixes folds and graph networks.
        progress: Called with folds done and folds in all.

    Raises:
        DataError: If the target is not a number of every run, or the same in all, or
            there are fewer different wirings than twice the folds.
    """
    targets = _targets(runs, target)
    configs = [run.config for run in runs]
    wirings = [[from_dict(w) for w in each["model"]["wirings"]] for each in configs]
    edges = [repr([edge_list(dag) for dag in dags]) for dags in wirings]
    names, groups = np.unique(edges, return_inverse=True)
    if len(names) < 2 * folds:
        raise DataError(
            "different wirings must be at least twice the folds, got "
            f"{len(names)} in {len(runs)} finished runs, and folds={folds}"
        )
    about = (
        f"{target} of {len(runs)} finished runs, from {len(names)} different wirings; "
        f"runs with the same wirings are held out together; {REPEATS} x {folds} folds"
    )
    if differing := _differing(configs):
        about += (
            f"; runs also differ in {', '.join(differing)}, which no model is given"
        )
    if len(names) < 50:
        about += "; fewer than 50 wirings show little"
    graphs = [wirings_graph(dags) for dags in wirings]
    rows = pd.DataFrame([graph_properties(c["model"]["wirings"]) for c in configs])

    def network(train: Places, test: Places, seed: int) -> Targets:
        return network_predictions(
            graphs, targets, train, test, epochs=epochs, seed=seed
        )

    # Nodes that are all unconnected have no mean path length.
    impute = SimpleImputer(keep_empty_features=True)
    ridge = make_pipeline(impute, StandardScaler(), Ridge())
    # Each fold has low and high targets: runs of neighbouring ranks have one label.
    labels = targets.argsort().argsort() * (len(runs) // folds) // len(runs)
    return cross_validated(
        network,
        {"ridge regression on graph properties": ridge, "mean": DummyRegressor()},
        rows.to_numpy(np.float64),
        targets,
        [
            splits(labels, folds=folds, seed=seed + repeat, groups=groups)
            for repeat in range(REPEATS)
        ],
        about=about,
        seed=seed,
        progress=progress,
    )


def _targets(runs: Sequence[Run], name: str) -> Float[np.ndarray, " runs"]:
    values = []
    for run in runs:
        result = run.result or {}
        numbers = {k: v for k, v in result.items() if type(v) in (int, float)}
        if name not in numbers:
            raise DataError(
                f"target must be a number of every run's result, got {name!r}, which "
                f"{run.path} lacks; it has {', '.join(numbers)}"
            )
        values.append(float(numbers[name]))
    if np.ptp(values) == 0:
        raise DataError(
            f"{name} must differ between runs, got {values[0]:g} in all {len(runs)}"
        )
    return np.array(values)


def _differing(configs: Sequence[dict[str, Any]]) -> list[str]:
    """Returns what differs between runs other than wirings and seeds."""
    flat = [config["model"] | config for config in configs]
    keys = set().union(*flat) - {"model", "wirings", "seed", "weights"}
    return sorted(
        k for k in keys if any(each.get(k) != flat[0].get(k) for each in flat)
    )
