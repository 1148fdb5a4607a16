"""Kinds of wirings: clusters of samples whose weights are alike."""

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.cluster.vq import ClusterError, kmeans2, vq

from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

FITTED = 20_000
"""Samples on which clusters are fitted; all are given to the nearest."""

CHUNK = 4096
"""Samples that are given at a time."""


def wiring_clusters(
    collection: Collection, *, clusters: int, seed: int
) -> Int[np.ndarray, " samples"]:
    """Returns the cluster of each sample, from 0, the largest first.

    By k-means of the weights of all stages together.

    Args:
        collection: Weights of samples.
        clusters: How many.
        seed: Fixes where they begin.

    Raises:
        DataError: If there are not so many different wirings.

    Source:
        Lloyd 1982; beginning: Arthur and Vassilvitskii 2007.
    """
    constant = np.concatenate([stage.constant for stage in collection.stages])

    def weighted(rows: slice) -> Float[np.ndarray, "rows edges"]:
        return collection.rows(rows)[:, ~constant].astype(np.float64)

    stride = -(-collection.samples // FITTED)
    fitted = weighted(slice(None, None, stride))
    different = len(np.unique(fitted, axis=0))
    if not 2 <= clusters <= different:
        raise DataError(
            f"clusters must be in [2, {different}], the number of different wirings, "
            f"got {clusters}"
        )
    try:
        centres, _ = kmeans2(
            fitted,
            clusters,
            iter=50,
            minit="++",
            missing="raise",
            rng=np.random.default_rng(seed),
        )
    except ClusterError as error:
        raise DataError(
            f"{clusters} clusters are more than the wirings fall into; ask for fewer"
        ) from error
    parts = (slice(at, at + CHUNK) for at in range(0, collection.samples, CHUNK))
    nearest = np.concatenate([vq(weighted(rows), centres)[0] for rows in parts])
    order = np.argsort(-np.bincount(nearest, minlength=clusters), kind="stable")
    of: np.ndarray = np.argsort(order)[nearest]
    return of


def cluster_table(
    collection: Collection, *, clusters: int = 10, seed: int = 0
) -> pd.DataFrame:
    """Returns a row for each cluster: its size, its accuracy, and its classes.

    Args:
        collection: Samples with expected MACs and, if they have classes, labels and
            predictions.
        clusters: How many clusters of ``wiring_clusters``.
        seed: Fixes where they begin.

    Returns:
        Columns ``cluster``, ``samples``, ``accuracy``, ``expected_macs`` (mean), then
        for each class that occurs ``of NAME``, its samples in the cluster. Samples
        without classes have neither accuracy nor classes.
    """
    cluster = wiring_clusters(collection, clusters=clusters, seed=seed)
    macs = collection.column("expected_macs")
    table = pd.DataFrame({"cluster": cluster, "expected_macs": macs})
    summary = table.groupby("cluster").agg(
        samples=("cluster", "size"), expected_macs=("expected_macs", "mean")
    )
    if not collection.classes:
        return summary.reset_index()
    table["label"] = collection.column("label")
    right = collection.column("prediction") == table["label"]
    summary.insert(1, "accuracy", right.groupby(table["cluster"]).mean())
    counts = pd.crosstab(table["cluster"], table["label"])
    names = {label: f"of {name}" for label, name in enumerate(collection.classes)}
    return summary.join(counts.rename(columns=names)).reset_index()
