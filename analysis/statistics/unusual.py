"""How far a sample's wiring is from those of its class."""

import numpy as np
import pandas as pd
from jaxtyping import Float

from ddw_graph.analysis.collect import Collection
from ddw_graph.analysis.statistics.classes import class_moments
from ddw_graph.errors import DataError


def unusualness(collection: Collection) -> Float[np.ndarray, " samples"]:
    """Returns how far each sample's wiring is from the mean one of its class.

    Root mean square, over the weighted edges of all stages whose weight varies within
    classes, of the difference in units of the edge's deviation within classes: 1 is
    usual, whatever the scale of the weights.

    Args:
        collection: What was collected.

    Raises:
        DataError: If no weight varies.
    """
    total = np.zeros(collection.samples)
    edges = 0
    for place, stage in enumerate(collection.stages):
        moments = class_moments(collection, place)
        within = moments.count @ moments.variance / collection.samples
        varies = within > 0
        edges += int(varies.sum())
        scale = np.sqrt(within[varies])
        (columns,) = np.nonzero(~stage.constant)
        columns = columns[varies]
        done = 0
        for chunk, labels in collection.labelled_chunks(place):
            off = (chunk[:, columns] - moments.mean[labels][:, varies]) / scale
            total[done : done + len(chunk)] += (off**2).sum(1)
            done += len(chunk)
    if not edges:
        raise DataError(
            "unusual wirings need weights that differ between samples of a class, got "
            "none"
        )
    return np.sqrt(total / edges)


def unusual_table(collection: Collection, *, count: int | None = None) -> pd.DataFrame:
    """Returns the samples, the most unusual wirings first.

    Args:
        collection: What was collected.
        count: How many; by default all.

    Returns:
        Columns ``sample`` (its row, from 0), ``unusualness``, ``label`` and
        ``prediction`` (names of classes), ``loss``, ``expected_macs``.

    Raises:
        DataError: If no weight varies.
    """
    table = collection.table()
    table.insert(0, "sample", np.arange(len(table)))
    table.insert(1, "unusualness", unusualness(collection))
    names = np.array(collection.classes)
    for column in ("label", "prediction"):
        table[column] = names[table[column]]
    ordered = table.sort_values("unusualness", ascending=False, kind="stable")
    return ordered.head(count or len(table)).reset_index(drop=True)
