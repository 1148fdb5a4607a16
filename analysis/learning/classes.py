"""Whether the class of a sample can be predicted from its wiring only."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ddw_graph.analysis.learning.graph_network import network_predictions
from ddw_graph.analysis.learning.graphs import collection_graphs
from ddw_graph.analysis.report_files import Column, difference, markdown_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

NETWORK = "graph network"


class Answer(NamedTuple):
    """How well labels of samples are predicted from their wirings.

    Args:
        about: What was predicted from what.
        predictions: Each sample's ``target`` and each model's prediction when it was
            held out, with ``fold`` and ``sample``.
        summary: For each ``model`` mean and standard deviation of its accuracy over
            folds, % (``accuracy``, ``std``); the graph network's minus this one's
            (``difference``) with its 95 % interval (``difference_low``,
            ``difference_high``); and whether the graph network is better, worse, or not
            significantly different (``verdict``).
    """

    about: str
    predictions: pd.DataFrame
    summary: pd.DataFrame

    def markdown(self) -> str:
        """Returns the summary as a Markdown table."""
        columns: dict[str, Column] = {
            "model": "{model}",
            "accuracy, %": "{accuracy:.1f}",
            "std": "{std:.1f}",
            f"{NETWORK} minus this, points (95 % interval)": difference("difference"),
            f"{NETWORK} is": lambda row: row["verdict"] or "–",
        }
        return markdown_table(columns, self.summary)


def predict_classes(
    collection: Collection,
    *,
    target: str = "class",
    epochs: int = 20,
    folds: int = 5,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Answer:
    """Returns how well each sample's class is predicted from its wiring only.

    By a graph network, a logistic regression on the weights of the edges, and the most
    frequent class. Each fold has its share of every label.

    Args:
        collection: The wirings.
        target: ``class``, or ``correct``: whether the network predicted the class.
        epochs: Passes of the graph network over the training samples.
        folds: Each is held out once.
        seed: Fixes folds and graph networks.
        progress: Called with the number of folds done.

    Raises:
        DataError: If no edge differs between samples, or a label has fewer samples than
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
    values, counts = np.unique(labels, return_counts=True)
    if len(values) < 2:
        raise DataError(f"there must be at least two labels, got {len(values)}")
    if not 2 <= folds <= counts.min():
        raise DataError(
            "folds must be at least 2 and at most the samples of the rarest label, got "
            f"folds={folds} and {counts.min()} of label {values[counts.argmin()]}"
        )
    graphs = collection_graphs(collection)
    regression = LogisticRegression(max_iter=1000)
    plain = {
        "logistic regression": make_pipeline(StandardScaler(), regression),
        "most frequent": DummyClassifier(),
    }
    splitter = StratifiedKFold(folds, shuffle=True, random_state=seed)
    parts = []
    for fold, (train, test) in enumerate(splitter.split(labels, labels)):
        # Weights of two edges differ more than one edge's do between samples: each is
        # also given in the mean and standard deviation of its training samples.
        scaled = torch.from_numpy(StandardScaler().fit(rows[train]).transform(rows))
        for graph, column in zip(graphs, scaled.float()[..., None], strict=True):
            graph.edge_attr = torch.cat([graph.edge_attr[:, :2], column], 1)
        own = int(np.random.SeedSequence((seed, fold)).generate_state(1)[0])
        part = pd.DataFrame({"fold": fold, "sample": test, "target": labels[test]})
        part[NETWORK] = network_predictions(
            graphs, labels, train, test, epochs=epochs, seed=own
        )
        for name, model in plain.items():
            part[name] = model.fit(rows[train], labels[train]).predict(rows[test])
        parts.append(part)
        if progress:
            progress(fold + 1)
    about = (
        f"{target} of {len(rows)} samples with {len(values)} labels, from {edges} "
        f"edges that differ between samples; {folds} folds"
    )
    predictions = pd.concat(parts, ignore_index=True)
    return Answer(about, predictions, compared(predictions))


def compared(predictions: pd.DataFrame) -> pd.DataFrame:
    """Returns the summary of an ``Answer`` from its predictions.

    All models learn from the same samples, so that their accuracies on a fold are
    paired.
    """
    models = list(predictions.columns[predictions.columns.get_loc(NETWORK) :])
    right = 100.0 * predictions[models].eq(predictions["target"], axis=0)
    by_fold = right.groupby(predictions["fold"]).mean()
    sizes = predictions.groupby("fold").size()
    ratio = float((sizes / (sizes.sum() - sizes)).mean())
    rows = []
    for model, accuracy in by_fold.items():
        row = {"model": model, "accuracy": accuracy.mean(), "std": accuracy.std()}
        if model != NETWORK:
            mean, low, high = fold_interval(by_fold[NETWORK] - accuracy, ratio)
            row |= {"difference": mean, "difference_low": low, "difference_high": high}
            row["verdict"] = "not significantly different"
            if low > 0 or high < 0:
                row["verdict"] = "better" if mean > 0 else "worse"
        rows.append(row)
    return pd.DataFrame(rows)


def fold_interval(values: pd.Series, ratio: float) -> tuple[float, float, float]:
    """Returns the mean of differences over folds with its 95 % interval.

    Training sets of folds overlap, so that differences vary together and Student's
    interval would be too narrow. The variance of the mean is therefore that of a
    difference times 1 / folds plus the ratio of held-out to training samples.

    Example:
        >>> values = pd.Series([0.1, 0.2, 0.3])
        >>> print("%.1f (%.3f to %.3f)" % fold_interval(values, 0.5))
        0.2 (-0.193 to 0.593)

    Source:
        Nadeau and Bengio 2003, doi:10.1023/A:1024068626366.
    """
    mean = float(values.mean())
    error = float(values.std()) * (1 / len(values) + ratio) ** 0.5
    low, high = mean + error * np.array(stats.t.interval(0.95, len(values) - 1))
    return mean, float(low), float(high)
