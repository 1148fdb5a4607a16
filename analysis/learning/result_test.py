"""The test of results: what a network's wirings tell of its accuracy or its time."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from ddw_graph.analysis.learning.baselines import linear
from ddw_graph.analysis.learning.crossing import (
    NETWORK,
    Crossed,
    Model,
    Places,
    Told,
    crossed,
    fold_table,
    summary_table,
)
from ddw_graph.analysis.learning.fitting import Fitting, Graphs, fitted, told
from ddw_graph.analysis.learning.folds import grouped_folds
from ddw_graph.analysis.learning.run_graphs import Runs

MEAN = "mean"
PROPERTIES = {
    "linear in clustering and path length": ("clustering", "average_path_length"),
    "linear in the number of edges": ("graph_edges",),
}
"""Linear models, each with the columns that it reads."""


@dataclass(frozen=True)
class ResultTest:
    """What models told of the results of held-out runs.

    Args:
        folds: A row for each fold and model: its mean absolute error.
        predictions: A row for each run and repeat: its target by each model.
        summary: A row for each model: mean error over folds, the share of the squared
            error of the mean that it explains (``r2``), and how much smaller the graph
            network's error is, with a 95 % interval.
        runs: How many there are.
        wirings: How many of them differ in their wirings.
    """

    folds: list[dict[str, Any]]
    predictions: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    runs: int
    wirings: int


def result_test(
    runs: Runs,
    fitting: Fitting,
    *,
    folds: int = 5,
    repeats: int = 3,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> ResultTest:
    """Returns how well a run's result is told from its network's wirings alone.

    A graph network, beside the mean, and linear models of two properties and of the
    number of edges. Runs of the same wirings are held out together: what is told is
    told of wirings that were never seen.

    Args:
        runs: The runs with their targets.
        fitting: How the graph network is fitted.
        folds: Parts of which each is held out once a repeat.
        repeats: Divisions into folds.
        seed: Fixes folds and networks.
        progress: Hears of folds done and folds in all.

    Raises:
        DataError: If fewer wirings differ than twice the folds.
    """
    targets = runs.targets
    divisions = [
        grouped_folds(runs.groups, targets, folds, seed=(seed, repeat))
        for repeat in range(repeats)
    ]
    models: dict[str, Model] = {NETWORK: _network(runs, fitting)}
    for name, columns in PROPERTIES.items():
        models[name] = _linear(runs, columns)
    models[MEAN] = lambda a, b, _: np.full(len(b), targets[a].mean())
    found = list(crossed(models, divisions, seed=seed, progress=progress))
    table = fold_table(
        found, "error", lambda said, held: float(np.abs(said - targets[held]).mean())
    )
    return ResultTest(
        table,
        [row for part in found for row in _predictions(part, runs)],
        summary_table(
            table,
            "error",
            "this_minus_network",
            sign=-1,
            more=_explained(found, targets),
        ),
        len(targets),
        len(np.unique(runs.groups)),
    )


def _network(runs: Runs, fitting: Fitting) -> Model:
    def model(learned: Places, held_out: Places, seed: tuple[int, ...]) -> Told:
        own = runs.targets[learned]
        mean, std = own.mean(), own.std()
        # The target too in the scale of what is learned from; 1 where it has none.
        std = std if np.ptp(own) else 1.0
        graphs = []
        for place in learned:
            graph = runs.graphs[place].clone()
            graph.y = torch.tensor([(runs.targets[place] - mean) / std]).float()
            graphs.append(graph)
        # Several steps an epoch even where runs are few.
        size = min(fitting.batch_size, max(2, len(learned) // 2))
        here = replace(fitting, batch_size=size)
        network = fitted(Graphs(graphs), here, outputs=1, seed=seed)
        said = told(network, Graphs(runs.graphs, held_out), here)[:, 0]
        scaled: Told = mean + std * said.astype(np.float64)
        return scaled

    return model


def _linear(runs: Runs, columns: tuple[str, ...]) -> Model:
    lacking = float("nan")
    rows = np.array(
        [[lacking if row[c] is None else row[c] for c in columns] for row in runs.rows],
        np.float64,
    )
    return lambda a, b, _: linear(rows[a], runs.targets[a], rows[b])


def _predictions(part: Crossed, runs: Runs) -> list[dict[str, Any]]:
    return [
        {
            "repeat": part.repeat,
            "fold": part.fold,
            "run": runs.rows[item]["run"],
            "target": float(runs.targets[item]),
            **{name: float(said[place]) for name, said in part.told.items()},
        }
        for place, item in enumerate(part.held_out)
    ]


def _explained(
    found: list[Crossed], targets: np.ndarray
) -> dict[str, dict[str, float]]:
    """Returns the share of the squared error of the mean that each model explains."""
    squares: dict[str, float] = {}
    for part in found:
        for name, said in part.told.items():
            off = float(((said - targets[part.held_out]) ** 2).sum())
            squares[name] = squares.get(name, 0.0) + off
    return {name: {"r2": 1 - off / squares[MEAN]} for name, off in squares.items()}
