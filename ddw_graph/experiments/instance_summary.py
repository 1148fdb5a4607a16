"""What the test of instances shows: differences to the own wiring, and a verdict."""

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.experiments.instances import WIRINGS
from ddw_graph.experiments.summary import ACCURACY, Difference, by_entry, scores

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
    for entry, group in by_entry(rows).items():
        wirings = by_entry([{**row, "entry": row["wiring"]} for row in group])
        runs = [row for wiring in WIRINGS for row in wirings[wiring]]
        for row in scores(runs, ACCURACY._replace(key="accuracy"), "own"):
            wiring, less = row.pop("entry"), row.pop("difference")
            low, high = row.pop("difference_low"), row.pop("difference_high")
            own = wirings[wiring]
            table.append(
                {
                    "entry": entry,
                    "wiring": wiring,
                    **row,
                    "own_minus_this": None if less is None else 0 - less,
                    "own_minus_this_low": None if high is None else 0 - high,
                    "own_minus_this_high": None if low is None else 0 - low,
                    "loss": statistics.fmean(run["loss"] for run in own),
                    "changed": statistics.fmean(run["changed"] for run in own),
                }
            )
    return table


def verdicts(table: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Returns for each entry in words whether its wiring is instance-aware.

    It is where the interval of what the own wiring has more than the mean one lies
    above 0; it is not where that interval holds 0 and rules out a gain of more than 0.2
    points; else it is not shown to be. It is aware of more than the class where the
    interval of what it has more than another wiring of the class lies above 0.
    """
    to = {
        (row["entry"], row["wiring"]): Difference(
            row["own_minus_this"],
            row["own_minus_this_low"],
            row["own_minus_this_high"],
        )
        for row in table
        if row["wiring"] != "own"
    }
    entries = dict.fromkeys(row["entry"] for row in table)
    return {name: verdict(to[name, "mean"], to[name, "class"]) for name in entries}


def verdict(to_mean: Difference, to_class: Difference) -> str:
    """Returns in words what the own wiring is worth.

    Args:
        to_mean: What it has more than the mean wiring, in points.
        to_class: What it has more than the wiring of another image of the class.

    Example:
        >>> verdict(Difference(0.0, -0.1, 0.1), Difference(0.0, -0.1, 0.1))[:46]
        'not instance-aware: the own wiring is no bette'
    """
    gain = _points(to_mean)
    if to_mean.low is None or to_mean.high is None:
        return (
            f"open: one seed has no interval; the own wiring has {gain} to the mean one"
        )
    if to_mean.high < 0:
        return f"not instance-aware: the own wiring is worse than the mean one, {gain}"
    if to_mean.low <= 0 and to_mean.high <= NEGLIGIBLE:
        return (
            f"not instance-aware: the own wiring is no better than the mean one, {gain}"
        )
    if to_mean.low <= 0:
        return (
            "not shown to be instance-aware: the own wiring may be no better than the "
            f"mean one, {gain}; more seeds would tell"
        )
    aware = f"instance-aware: the own wiring is better than the mean one, {gain}"
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
