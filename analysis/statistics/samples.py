"""Each sample's wiring: how unusual it is, and how that goes with the sample's loss."""

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import spearmanr

from ddw_graph.analysis.statistics.classes import class_moments
from ddw_graph.analysis.statistics.edges import edge_blocks, weighted_edges
from ddw_graph.analysis.statistics.paths import path_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import COLUMNS, Collection

RESOLUTION = float(np.finfo(np.float32).eps)
"""The resolution of weights, as a part of their size."""


def sample_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each sample: what is known of it besides its weights.

    Returns:
        Columns ``sample`` (its row, from 0), ``label`` and ``prediction`` (names of
        classes), ``loss``, ``expected_macs``, those that are known.
    """
    table = pd.DataFrame({"sample": range(collection.samples)})
    names = pd.Series(collection.classes, dtype=object)
    for name in COLUMNS:
        if name in collection.columns:
            column = collection.column(name)
            is_class = name in ("label", "prediction")
            table[name] = names[column].to_numpy() if is_class else column
    return table


def unusualness(collection: Collection) -> Float[np.ndarray, " samples"]:
    """Returns how far each sample's wiring is from the mean one of its class.

    Root mean square, over the weighted edges of all stages whose weight varies within
    classes, of the difference in units of the edge's standard deviation within classes:
    1 is usual. A plain distance would be decided by the few edges that vary most, and
    could not be compared between two networks, whose weights have different scales. An
    edge that varies by no more than the resolution of float32 does not count; where no
    edge varies, all samples have 0, as the only sample of a class does.
    """
    total, edges = np.zeros(collection.samples), 0
    labels = collection.column("label")
    for place in range(len(collection.stages)):
        classes = class_moments(collection, place)
        share = classes.samples / collection.samples
        mean, std = classes.mean, np.sqrt(share @ classes.variance)
        varies = std > RESOLUTION * np.abs(share @ mean)
        edges += int(varies.sum())
        mean, std = mean[:, varies], std[varies]
        columns = weighted_edges(collection, place)[varies]
        for part, weights in edge_blocks(collection, place, columns):
            total += (((weights - mean[labels, part]) / std[part]) ** 2).sum(1)
    return np.sqrt(total / max(edges, 1))


def unusual_table(collection: Collection) -> pd.DataFrame:
    """Returns the samples, the most unusual wirings first.

    Returns:
        The columns of ``sample_table``, with ``unusualness`` after ``sample``.

    Raises:
        DataError: If no weight varies within classes.
    """
    found = unusualness(collection)
    if not found.any():
        raise DataError(
            "unusual wirings need weights that differ between samples of a class, got "
            "none"
        )
    table = sample_table(collection)
    table.insert(1, "unusualness", found)
    return table.sort_values(
        "unusualness", ascending=False, kind="stable", ignore_index=True
    )


def difficulty_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each measure of wirings: its rank correlation with the loss.

    Measures are expected MACs, open edges and effective depth (sums over stages), the
    share of the dominant path (mean over stages), see ``path_table``, and for samples
    with classes their unusualness.

    Args:
        collection: Samples with losses and expected MACs and, if they have classes,
            labels and predictions.

    Returns:
        Columns ``measure``, ``correlation`` (Spearman's; NaN where all samples have the
        same), ``low``, ``high`` (its 95 % interval), and for samples with classes
        ``right`` and ``wrong`` (means of the measure over samples with a right, and
        with a wrong prediction).

    Raises:
        DataError: If there are fewer than 4 samples.

    Source:
        Interval: Bonett and Wright 2000.
    """
    if collection.samples < 4:
        raise DataError(
            f"correlations need at least 4 samples, got {collection.samples}"
        )
    loss = collection.column("loss")
    paths = path_table(collection).groupby("sample")
    measures = {
        "expected_macs": collection.column("expected_macs"),
        "open_edges": paths["open_edges"].sum().to_numpy(),
        "depth": paths["depth"].sum().to_numpy(),
        "share": paths["share"].mean().to_numpy(),
    }
    if collection.classes:
        right = collection.column("label") == collection.column("prediction")
        measures["unusualness"] = unusualness(collection)
    rows = []
    for name, values in measures.items():
        differ = np.ptp(values) and np.ptp(loss)
        rho = float(spearmanr(values, loss).statistic) if differ else np.nan
        reach = 1.96 * np.sqrt((1 + rho**2 / 2) / (len(loss) - 3))
        centre = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
        low, high = np.tanh([centre - reach, centre + reach])
        row = {"measure": name, "correlation": rho, "low": low, "high": high}
        if collection.classes:
            with_nan = pd.Series(values)  # whose mean of none is NaN
            row |= {"right": with_nan[right].mean(), "wrong": with_nan[~right].mean()}
        rows.append(row)
    return pd.DataFrame(rows)
