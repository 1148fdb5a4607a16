"""What an experiment found: means over seeds, and paired differences."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences with its 95 % confidence interval.

    Args:
        low: Lower end of the interval; None with fewer than two pairs.
        high: Upper end of the interval; None with fewer than two pairs.
    """

    mean: float
    low: float | None
    high: float | None


def paired_difference(values: Sequence[float], others: Sequence[float]) -> Difference:
    """Returns how much the values exceed the others that they are paired with.

    The interval is Student's for the mean of the differences.

    Example:
        >>> paired_difference([3.0, 5.0, 4.0], [1.0, 2.0, 3.0]).mean
        2.0
    """
    differences = np.subtract(values, others)
    mean = float(differences.mean())
    count = len(differences)
    if count < 2:
        return Difference(mean, None, None)
    error = float(differences.std(ddof=1)) / count**0.5
    half = float(stats.t.ppf(0.975, count - 1)) * error
    return Difference(mean, mean - half, mean + half)


def by_entry(
    rows: Sequence[Mapping[str, Any]],
) -> dict[str, list[Mapping[str, Any]]]:
    """Returns the rows of each entry, in the order of the first of each."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        found.setdefault(row["entry"], []).append(row)
    return found


class Metric(NamedTuple):
    """What runs are compared by.

    Args:
        key: The column of a run's row.
        name: The column of a summary.
        scale: The summary's number for 1 of the run's.
        title: Its name with its unit.
        digits: Digits behind the point.
    """

    key: str
    name: str
    scale: float
    title: str
    unit: str
    digits: int


COSTS = ("parameters", "total_macs", "expected_macs", "train_seconds")
"""Columns of a run's row that a summary averages."""

ACCURACY = Metric("test_accuracy", "accuracy", 100, "accuracy, %", "points", 2)
LOSS = Metric("test_loss", "loss", 1, "held-out loss, nats a token", "nats", 4)


def metric_of(rows: Sequence[Mapping[str, Any]]) -> Metric:
    """Returns what runs are compared by: accuracy, or of language models the loss."""
    return LOSS if "test_perplexity" in rows[0] else ACCURACY


def metric_of_summary(table: Sequence[Mapping[str, Any]]) -> Metric:
    """Returns what the rows of ``scores`` are compared by."""
    return LOSS if f"{LOSS.name}_std" in table[0] else ACCURACY


def scores(
    rows: Sequence[Mapping[str, Any]], metric: Metric, reference: str | None = None
) -> list[dict[str, Any]]:
    """Returns a row for each entry: its score, and the difference to the reference.

    The reference comes first. Scores are means over seeds. Differences are paired by
    seed; None where the two share no seed.

    Args:
        rows: A row for each run, at least one, with ``entry`` and ``seed``.
        reference: The entry that differences are to; by default the first.
    """
    entries = by_entry(rows)
    first = reference or next(iter(entries))
    entries = {first: entries[first]} | entries
    to = {row["seed"]: metric.scale * row[metric.key] for row in entries[first]}
    table = []
    for entry, group in entries.items():
        values = {row["seed"]: metric.scale * row[metric.key] for row in group}
        pairs = [(values[seed], to[seed]) for seed in values if seed in to]
        found = paired_difference(*zip(*pairs, strict=True)) if pairs else None
        if entry == first:
            found = None
        scored = list(values.values())
        table.append(
            {
                "entry": entry,
                "seeds": len(group),
                metric.name: statistics.fmean(scored),
                f"{metric.name}_std": (
                    statistics.stdev(scored) if len(group) > 1 else None
                ),
                "difference": found.mean if found else None,
                "difference_low": found.low if found else None,
                "difference_high": found.high if found else None,
            }
        )
    return table


def summary(
    rows: Sequence[Mapping[str, Any]], reference: str | None = None
) -> list[dict[str, Any]]:
    """Returns a row for each entry of an experiment: means over its seeds.

    After its score (see ``scores`` and ``metric_of``) follows what it costs.
    """
    table = scores(rows, metric_of(rows), reference)
    entries = by_entry(rows)
    for row in table:
        for key in COSTS:
            row[key] = statistics.fmean(run[key] for run in entries[row["entry"]])
    return table
