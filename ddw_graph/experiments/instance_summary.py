"""What the test of instances says: differences to the own wiring, and a verdict."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.experiments.instances import WIRINGS
from ddw_graph.experiments.summary import Difference, by_entry, paired_difference

NEGLIGIBLE = 0.2
"""Points below which a gain counts as none."""


def instance_summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns a row for each entry and kind of wirings: means over its seeds.

    Accuracies are in percent. A difference is what the own wiring has more, in points,
    paired by seed. ``changed`` counts images that are predicted otherwise than with
    their own wiring.

    Args:
        rows: A row for each run and kind of wirings, with ``entry``, ``seed``,
            ``wiring``, ``accuracy``, ``loss`` and ``changed``.
    """
    table = []
    for entry, of_entry in by_entry(rows).items():
        own = {r["seed"]: 100 * r["accuracy"] for r in of_entry if r["wiring"] == "own"}
        for wiring in WIRINGS:
            group = [row for row in of_entry if row["wiring"] == wiring]
            accuracy = [100 * row["accuracy"] for row in group]
            found = paired_difference([own[row["seed"]] for row in group], accuracy)
            other = None if wiring == "own" else found
            table.append(
                {
                    "entry": entry,
                    "wiring": wiring,
                    "seeds": len(group),
                    "accuracy": statistics.fmean(accuracy),
                    "accuracy_std": (
                        statistics.stdev(accuracy) if len(group) > 1 else None
                    ),
                    "own_minus_this": other.mean if other else None,
                    "own_minus_this_low": other.low if other else None,
                    "own_minus_this_high": other.high if other else None,
                    "loss": statistics.fmean(row["loss"] for row in group),
                    "changed": statistics.fmean(row["changed"] for row in group),
                }
            )
    return table


def verdicts(table: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns for each entry in words whether its wiring is instance-aware.

    It is where the interval of what the own wiring has more than the mean one lies
    above 0; it is not where that interval holds 0 and rules out a gain of more than 0.2
    points; else it is not shown to be. It is aware of more than the class where the
    interval of what it has more than another wiring of the class lies above 0.

    Args:
        table: The summary, from ``instance_summary``.
    """
    said = {}
    for entry in dict.fromkeys(row["entry"] for row in table):
        to = {
            row["wiring"]: Difference(
                row["own_minus_this"],
                row["own_minus_this_low"],
                row["own_minus_this_high"],
            )
            for row in table
            if row["entry"] == entry and row["wiring"] != "own"
        }
        said[entry] = verdict(to["mean"], to["class"])
    return said


def verdict(to_mean: Difference, to_class: Difference) -> str:
    """Returns in words what the own wiring is worth.

    Args:
        to_mean: What it has more than the mean wiring, in points.
        to_class: What it has more than the wiring of another image of the class.

    Example:
        >>> verdict(Difference(0.0, -0.1, 0.1), Difference(0.0, -0.1, 0.1))[:46]
        'not instance-aware: the own wiring is no bette'
    """
    if to_mean.low is None or to_mean.high is None:
        return (
            f"open: one seed has no interval; the own wiring has {_points(to_mean)} "
            "to the mean one"
        )
    if to_mean.high < 0:
        return (
            "not instance-aware: the own wiring is worse than the mean one, "
            f"{_points(to_mean)}"
        )
    if to_mean.low <= 0 and to_mean.high <= NEGLIGIBLE:
        return (
            "not instance-aware: the own wiring is no better than the mean one, "
            f"{_points(to_mean)}"
        )
    if to_mean.low <= 0:
        return (
            "not shown to be instance-aware: the own wiring may be no better than the "
            f"mean one, {_points(to_mean)}; more seeds would tell"
        )
    aware = (
        f"instance-aware: the own wiring is better than the mean one, "
        f"{_points(to_mean)}"
    )
    if to_class.low is not None and to_class.low > 0:
        return (
            f"{aware}; and aware of more than the class: better than the wiring of "
            f"another image of the class, {_points(to_class)}"
        )
    return (
        f"{aware}; but not shown to be aware of more than the class: against the "
        f"wiring of another image of the class {_points(to_class)}"
    )


def _points(difference: Difference) -> str:
    if difference.low is None:
        return f"{difference.mean:+.2f} points"
    return (
        f"{difference.mean:+.2f} points "
        f"({difference.low:+.2f} to {difference.high:+.2f})"
    )
