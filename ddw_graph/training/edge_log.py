"""The log of edge weights: mean and standard deviation by edge and epoch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.errors import RunError
from ddw_graph.nn.edges import kind_name
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network
from ddw_graph.training.log import read_rows, write_rows

NAME = "wiring.csv"


class EdgeRow(NamedTuple):
    """Mean and standard deviation of an edge's weight over test samples in an epoch.

    Epochs and stages count from 1; the standard deviation is that of the population.
    Weights by position or channel count by their mean.
    """

    epoch: int
    stage: int
    source: int
    target: int
    mean: float
    std: float


def weighted_edges(model: Network) -> list[Int[Tensor, "2 _"]]:
    """Returns sources and targets of each stage's edges whose weights can change.

    In the plan's order, where the network is: made once, they index many batches.
    """
    device = next(model.parameters()).device
    found = []
    for stage in model.stages:
        fixed = kind_name(stage.edges) == "fixed"
        changing = () if fixed else stage.plan.weighted_edges
        ends = torch.tensor(changing, dtype=torch.long, device=device)
        found.append(ends.reshape(-1, 2).T)
    return found


def weight_sums(
    edges: Sequence[Int[Tensor, "2 _"]], adjacency: Sequence[Tensor]
) -> Tensor:
    """Returns sums of weights and of their squares over a batch, in float64.

    Shapes:
        - output: ``(2, edges of all stages)``
    """
    sums = []
    for (source, target), matrix in zip(edges, adjacency, strict=True):
        weights = by_sample(matrix[:, target, source]).double()
        sums.append(torch.stack([weights.sum(0), (weights**2).sum(0)]))
    return torch.cat(sums, 1)


def edge_rows(
    edges: Sequence[Int[Tensor, "2 _"]], sums: Tensor, count: float, epoch: int
) -> list[EdgeRow]:
    """Returns a row for each edge, from sums of ``weight_sums`` over all samples."""
    named: list[tuple[int, int, int]] = [
        (stage, source, target)
        for stage, ends in enumerate(edges, 1)
        for source, target in ends.T.tolist()
    ]
    means, squares = (sums / count).tolist()
    return [
        EdgeRow(epoch, *name, mean, math.sqrt(max(0.0, square - mean**2)))
        for name, mean, square in zip(named, means, squares, strict=True)
    ]


def write_edge_log(folder: Path, rows: Sequence[EdgeRow]) -> None:
    """Adds an epoch's rows to a run's ``wiring.csv``, and removes later epochs' rows.

    So an epoch that is repeated after an interruption is listed once.

    Raises:
        RunError: If the file that is there is damaged.
    """
    if not rows:
        return
    before = read_edge_log(folder) if (folder / NAME).exists() else []
    kept = [row for row in before if row.epoch < rows[0].epoch]
    write_rows(folder / NAME, [row._asdict() for row in (*kept, *rows)])


def read_edge_log(folder: Path) -> list[EdgeRow]:
    """Returns the rows of a run's ``wiring.csv``.

    Raises:
        RunError: If there is none, or it is damaged.
    """
    path = folder / NAME
    if not path.is_file():
        raise RunError(
            f"{folder} must hold {NAME}, which runs write that have edges with weights"
        )
    try:
        values = [[row[name] for name in EdgeRow._fields] for row in read_rows(path)]
    except KeyError as error:
        raise RunError(f"{path} must be a whole log: it lacks {error}") from error
    rows = [
        EdgeRow(int(epoch), int(stage), int(source), int(target), mean, std)
        for epoch, stage, source, target, mean, std in values
    ]
    edges: dict[int, list[tuple[int, ...]]] = {}
    for each in rows:
        edges.setdefault(each.epoch, []).append(each[1:4])
    if list(edges) != sorted(edges) or len(set(map(tuple, edges.values()))) != 1:
        raise RunError(
            f"{path} must be a whole log of edges: its epochs do not have the same "
            "edges in order"
        )
    return rows
