"""A sample's wiring compared with how hard the sample is for the network."""

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from ddw_graph.analysis.statistics.paths import path_table
from ddw_graph.analysis.statistics.unusual import unusualness
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

MEASURES = ("expected_macs", "open_edges", "depth", "share", "unusualness")
"""What is compared with the loss; see ``path_table`` for the middle three."""


def sample_measures(collection: Collection) -> pd.DataFrame:
    """Returns a row for each sample: loss, whether it is right, and ``MEASURES``.

    Open edges are the sum over stages, effective depth too; the share of the dominant
    path is the mean. Samples without classes are not right or wrong, and not unusual
    for their class.
    """
    paths = path_table(collection).groupby("sample")
    measures = pd.DataFrame(
        {
            "loss": collection.column("loss"),
            "expected_macs": collection.column("expected_macs"),
            "open_edges": paths["open_edges"].sum(),
            "depth": paths["depth"].sum(),
            "share": paths["share"].mean(),
        }
    )
    if collection.classes:
        right = collection.column("label") == collection.column("prediction")
        measures.insert(1, "right", right)
        measures["unusualness"] = unusualness(collection)
    return measures


def difficulty_table(collection: Collection) -> pd.DataFrame:
    """Returns a row for each measure: its rank correlation with the loss.

    Args:
        collection: Samples with losses and expected MACs and, if they have classes,
            labels and predictions.

    Returns:
        Columns ``measure``, ``correlation`` (Spearman's; NaN where all samples have the
        same), ``low``, ``high`` (its 95 % interval), and for samples with classes
        ``right`` and ``wrong`` (means of the measure over samples that are predicted
        rightly, and wrongly).

    Source:
        Interval: Bonett and Wright 2000.
    """
    measures, samples = sample_measures(collection), collection.samples
    if samples < 4:
        raise DataError(f"correlations need at least 4 samples, got {samples}")
    rows = []
    for name in (name for name in MEASURES if name in measures):
        values = measures[name]
        rho = np.nan
        if values.nunique() > 1 and measures["loss"].nunique() > 1:
            rho = float(spearmanr(values, measures["loss"]).statistic)
        reach = 1.96 * np.sqrt((1 + rho**2 / 2) / (samples - 3))
        centre = np.arctanh(np.clip(rho, -1 + 1e-12, 1 - 1e-12))
        row = {
            "measure": name,
            "correlation": rho,
            "low": np.tanh(centre - reach),
            "high": np.tanh(centre + reach),
        }
        if "right" in measures:
            row["right"] = values[measures["right"]].mean()
            row["wrong"] = values[~measures["right"]].mean()
        rows.append(row)
    return pd.DataFrame(rows)


def loss_group_table(collection: Collection, *, groups: int = 10) -> pd.DataFrame:
    """Returns the samples in groups from the least to the largest loss.

    Args:
        collection: Samples with losses and expected MACs and, if they have classes,
            labels and predictions.
        groups: How many, of as many samples each.

    Returns:
        Columns ``group`` (from 1), ``samples``, ``loss``, ``accuracy`` (of samples with
        classes), and the mean of each of ``MEASURES``.

    Raises:
        DataError: If there are more groups than samples.
    """
    if not 1 <= groups <= collection.samples:
        raise DataError(f"groups must be in [1, {collection.samples}], got {groups}")
    measures = sample_measures(collection)
    order = measures["loss"].rank(method="first").to_numpy().astype(int) - 1
    group = order * groups // len(measures) + 1
    by_group = measures.groupby(group)
    table = by_group[list(measures)].mean()
    table = table.rename(columns={"right": "accuracy"})
    table.insert(0, "samples", by_group.size())
    return table.rename_axis("group").reset_index()
