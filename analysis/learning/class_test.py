"""The test of classes: what the wiring alone knows of an image's class."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ddw_graph.analysis.learning.baselines import logistic, majority, nearest_mean
from ddw_graph.analysis.learning.collection_graphs import (
    CollectionGraphs,
    EdgeScale,
    all_weights,
)
from ddw_graph.analysis.learning.crossing import (
    NETWORK,
    Crossed,
    Model,
    Places,
    Told,
    crossed,
    fold_table,
    summary_table,
)
from ddw_graph.analysis.learning.fitting import Fitting, Graphs, fitted, told
from ddw_graph.analysis.learning.folds import stratified_folds
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection


@dataclass(frozen=True)
class ClassTest:
    """What models told of the classes of held-out samples.

    Args:
        folds: A row for each fold and model: its accuracy, in ``[0, 1]``.
        predictions: A row for each sample and repeat: its class by each model.
        summary: A row for each model: mean accuracy over folds in percent, and what the
            graph network has more, in points with a 95 % interval.
        samples: How many there are.
        classes: How many classes have samples.
        edges: How many edges differ between samples.
    """

    folds: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    samples: int
    classes: int
    edges: int


def class_test(
    collection: Collection,
    fitting: Fitting,
    *,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ClassTest:
    """Returns how well an image's class is told from its wiring alone.

    A graph network, beside the most frequent class, and the nearest class mean and a
    logistic regression on the weights in a row, which no graph tells anything. Every
    sample is held out once a repeat.

    Args:
        collection: The wirings and the classes.
        fitting: How the graph network is fitted.
        folds: Parts of which each is held out once.
        repeats: Divisions into folds.
        seed: Fixes folds and networks.
        progress: Hears of folds done and folds in all.

    Raises:
        DataError: If no edge differs between samples, there is one class only, or one
            has fewer samples than folds.
    """
    weights = all_weights(collection)
    varies = np.ptp(weights, axis=0) > 0
    if not varies.any():
        constant = all(stage.constant.all() for stage in collection.stages)
        told_why = "are constant" if constant else "weigh the same for all samples"
        raise DataError(
            f"some edge must differ between samples, got {len(varies)} edges that "
            f"{told_why}; collect a network with dynamic edges"
        )
    labels = collection.column("label")
    rows = weights[:, varies]
    divisions = [
        stratified_folds(labels, folds, seed=(seed, repeat))
        for repeat in range(repeats)
    ]
    models: dict[str, Model] = {
        NETWORK: _network(collection, weights, fitting),
        "logistic regression": lambda a, b, _: logistic(rows[a], labels[a], rows[b]),
        "nearest class mean": lambda a, b, _: nearest_mean(rows[a], labels[a], rows[b]),
        "majority class": lambda a, b, _: majority(labels[a], len(b)),
    }
    found = list(crossed(models, divisions, seed=seed, progress=progress))
    table = fold_table(
        found, "accuracy", lambda said, held: float((said == labels[held]).mean())
    )
    return ClassTest(
        table,
        [row for part in found for row in _predictions(part, labels)],
        summary_table(table, "accuracy", "network_minus_this", sign=1, scale=100),
        len(labels),
        len(np.unique(labels)),
        int(varies.sum()),
    )


def _network(collection: Collection, weights: np.ndarray, fitting: Fitting) -> Model:
    def model(learned: Places, held_out: Places, seed: tuple[int, ...]) -> Told:
        # The scale too is of what is learned from.
        scale = EdgeScale.of(weights[learned])
        graphs = CollectionGraphs(collection, scale)
        classes = len(collection.classes)
        network = fitted(Graphs(graphs, learned), fitting, outputs=classes, seed=seed)
        said: Told = told(network, Graphs(graphs, held_out), fitting).argmax(1)
        return said

    return model


def _predictions(part: Crossed, labels: np.ndarray) -> list[dict[str, Any]]:
    return [
        {
            "repeat": part.repeat,
            "fold": part.fold,
            "sample": int(sample),
            "label": int(labels[sample]),
            **{name: int(said[place]) for name, said in part.told.items()},
        }
        for place, sample in enumerate(part.held_out)
    ]
