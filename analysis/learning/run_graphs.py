"""The finished runs of a sweep: the graph of each network's wirings, and its result."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch_geometric.data import Data

from ddw_graph.analysis.learning.wiring_graph import wirings_graph
from ddw_graph.errors import DataError
from ddw_graph.experiments.inference import run_times
from ddw_graph.sweeping.folder import SweepFolder
from ddw_graph.sweeping.table import table
from ddw_graph.training.run import RunFolder
from ddw_graph.wiring import edge_list, from_dict

MEASURED = "inference_ms"
"""What is measured where the table of a sweep lacks it."""

ROUNDS = 15
"""Times that each network runs in a measurement."""

Measure = Callable[[SweepFolder, list[str]], dict[str, float]]
"""Returns a number for each of some runs."""


@dataclass(frozen=True)
class Runs:
    """Finished runs of a sweep.

    Args:
        rows: The row of each in the table of the sweep, with the target.
        graphs: The wirings of each network.
        targets: What is to be told of each.
        groups: A number for each; runs with the same wirings have the same.
        planned: How many runs the sweep has in all.
        others: Axes beside wiring and seed, which the wirings do not tell.
        agreement: Correlation between two measurements of the target, of which it is
            the mean; None of what was not measured here.
    """

    rows: list[dict[str, Any]]
    graphs: list[Data]
    targets: Float[np.ndarray, " runs"]
    groups: Int[np.ndarray, " runs"]
    planned: int
    others: tuple[str, ...]
    agreement: float | None = None


def finished_runs(folder: Path, target: str, *, measure: Measure | None = None) -> Runs:
    """Returns the runs of a sweep that have finished.

    Args:
        folder: The sweep's folder.
        target: A column of its table that holds numbers, or ``inference_ms``, which is
            measured, twice, where the table lacks it.
        measure: How it is measured; by default ``measured``.

    Raises:
        DataError: If the target is no column of numbers, or the same for all runs.
        RunError: If the folder holds no sweep, or a damaged one.
    """
    sweep = SweepFolder(folder)
    planned = sweep.runs_planned()
    rows = table(sweep)
    if not rows:
        raise DataError(f"{folder} must hold finished runs, got none of {len(planned)}")
    names = [str(row["run"]) for row in rows]
    agreement: float | None = None
    if target == MEASURED and not all(MEASURED in row for row in rows):
        measure = measure or measured
        # The other way round, lest a network's turn passes for its time.
        first, again = measure(sweep, names), measure(sweep, names[::-1])
        for place, name in enumerate(names):
            rows[place] |= {MEASURED: (first[name] + again[name]) / 2}
        agreement = correlation(
            [first[name] for name in names], [again[name] for name in names]
        )
    targets = np.array([_number(row, target, rows) for row in rows])
    if np.ptp(targets) == 0:
        raise DataError(
            f"{target} must differ between runs, got {targets[0]:g} in all "
            f"{len(rows)} that have finished"
        )
    graphs, keys = [], []
    for name, value in zip(names, targets, strict=True):
        wirings = [from_dict(w) for w in sweep.plan(name)[1].model["wirings"]]
        graph = wirings_graph(wirings)
        graph.y = torch.tensor([value], dtype=torch.float32)
        graphs.append(graph)
        keys.append(tuple(tuple(edge_list(dag)) for dag in wirings))
    numbers = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    axes = RunFolder(folder).config().get("axes", [])
    return Runs(
        rows,
        graphs,
        targets,
        np.array([numbers[key] for key in keys]),
        len(planned),
        tuple(sorted(set(axes) - {"wiring", "seed"})),
        agreement,
    )


def measured(sweep: SweepFolder, names: list[str]) -> dict[str, float]:
    """Returns the inference time of runs, in turns on test images, milliseconds.

    On the processor and one thread, whatever the runs were trained on. In more rounds
    than where a few networks are compared: small differences are what is to be told.
    """
    data = sweep.plan(names[0])[1].source.load()
    folders = {name: sweep.runs / name for name in names}
    times = run_times(list(folders.values()), data, rounds=ROUNDS)
    return {name: times[folder] for name, folder in folders.items()}


def correlation(values: Sequence[float], others: Sequence[float]) -> float | None:
    """Returns Pearson's correlation; None where either does not vary.

    Example:
        >>> correlation([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
        1.0
    """
    if min(np.ptp(values), np.ptp(others)) == 0:
        return None
    return round(float(np.corrcoef(values, others)[0, 1]), 12)


def _number(row: dict[str, Any], target: str, rows: list[dict[str, Any]]) -> float:
    value = row.get(target)
    # A truth value is no number to tell.
    if isinstance(value, bool) or not isinstance(value, int | float):
        columns = [
            name
            for name in rows[0]
            if all(type(other.get(name)) in (int, float) for other in rows)
        ]
        raise DataError(
            f"target must be a number of every finished run, got {target!r}, which "
            f"{row['run']} lacks; there are {', '.join(columns)}, and {MEASURED} is "
            "measured"
        )
    if not math.isfinite(value):
        raise DataError(f"{target} must be finite, got {value} of {row['run']}")
    return float(value)
