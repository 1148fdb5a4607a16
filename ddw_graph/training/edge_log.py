"""The log of edge weights during training: mean and deviation by edge and epoch."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.atomic import write_bytes
from ddw_graph.errors import RunError
from ddw_graph.nn.edges import kind_name
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.network import Network

NAME = "wiring.csv"
COLUMNS = ("epoch", "stage", "source", "target", "mean", "std")


@dataclass(frozen=True)
class EdgeRow:
    """What the weight of an edge was over the test images, after an epoch.

    Weights by position or channel count by their mean.

    Args:
        epoch: The epoch, from 1.
        stage: The stage, from 1.
        source: The node that the edge leaves.
        target: The node that it enters.
        mean: Mean of its weight over images.
        std: Standard deviation of the population.
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

    Args:
        edges: Those of ``weighted_edges``.
        adjacency: What the network returned.

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
    """Returns a row for each edge.

    Args:
        edges: Those of ``weighted_edges``.
        sums: Those of ``weight_sums`` over all images.
        count: How many images.
        epoch: The epoch, from 1.
    """
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
    path = folder / NAME
    before = read_edge_log(folder) if path.exists() else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in [*(row for row in before if row.epoch < rows[0].epoch), *rows]:
        writer.writerow(vars(row).values())
    write_bytes(path, [text.getvalue().encode()], overwrite=True)


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
        lines = list(
            csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True)
        )
        if not lines or tuple(lines[0]) != COLUMNS:
            raise ValueError(f"its columns are not {', '.join(COLUMNS)}")
        rows = [
            EdgeRow(int(e), int(k), int(i), int(j), float(mean), float(std))
            for e, k, i, j, mean, std in lines[1:]
        ]
        if not all(math.isfinite(row.mean) and math.isfinite(row.std) for row in rows):
            raise ValueError("a weight is not finite")
        edges: dict[int, list[tuple[int, int, int]]] = {}
        for row in rows:
            edges.setdefault(row.epoch, []).append((row.stage, row.source, row.target))
        if list(edges) != sorted(edges) or len(set(map(tuple, edges.values()))) > 1:
            raise ValueError("epochs do not have the same edges in order")
    except (OSError, UnicodeDecodeError, ValueError, csv.Error) as error:
        raise RunError(f"{path} must be a whole log of edges: {error}") from error
    return rows
