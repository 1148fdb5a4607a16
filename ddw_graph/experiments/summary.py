"""What a comparison found: means over seeds, and paired differences."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats


@dataclass(frozen=True)
class Difference:
    """The mean of paired differences with its 95 % confidence interval.

    Args:
        mean: The mean.
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


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns a row for each entry of a comparison: means over its seeds.

    Accuracies are in percent, differences to the first entry in points. Where a run of
    an earlier version did not count expected MACs, their mean is None.
    """
    by_entry: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_entry.setdefault(row["entry"], []).append(row)
    groups = list(by_entry.values())
    first = {row["seed"]: row["test_accuracy"] for row in groups[0]}
    table = []
    for group in groups:
        accuracy = [100 * row["test_accuracy"] for row in group]
        reference = [100 * first[row["seed"]] for row in group]
        difference = paired_difference(accuracy, reference)
        is_first = group is groups[0]

        def mean(key: str, group: list[Mapping[str, Any]] = group) -> float:
            return statistics.fmean(row[key] for row in group)

        table.append(
            {
                "entry": group[0]["entry"],
                "seeds": len(group),
                "accuracy": statistics.fmean(accuracy),
                "accuracy_std": statistics.stdev(accuracy) if len(group) > 1 else None,
                "difference": None if is_first else difference.mean,
                "difference_low": None if is_first else difference.low,
                "difference_high": None if is_first else difference.high,
                "parameters": mean("parameters"),
                "macs": mean("macs"),
                "total_macs": mean("total_macs"),
                "expected_macs": (
                    mean("expected_macs")
                    if all(row.get("expected_macs") is not None for row in group)
                    else None
                ),
                "train_seconds": mean("train_seconds"),
                "inference_ms": group[0]["inference_ms"],
            }
        )
    return table
