"""Where nodes and edges of a layered drawing go, so that edges pass between nodes.

The way of Sugiyama, Tagawa and Toda (1981): a node's layer is given; an edge that spans
several layers holds a slot in each of them; slots are ordered layer by layer so that
few edges cross, and then moved so that edges run straight.
"""

from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import networkx as nx
import numpy as np
from scipy.optimize import isotonic_regression

from ddw_graph.errors import WiringError
from ddw_graph.wiring.description import longest_path_layers

MAX_SLOTS = 20_000
"""Most slots of nodes and edges together; a drawing of more shows nothing."""

_SWEEPS = 24


@dataclass(frozen=True)
class Layout:
    """Where everything is, in units of layers (x) and of slots (y).

    Args:
        nodes: Position of each node.
        routes: For each edge the points that it passes, its nodes' own included.
    """

    nodes: Mapping[int, tuple[float, float]]
    routes: Mapping[tuple[int, int], list[tuple[float, float]]]


def layered_layout(dag: nx.DiGraph) -> Layout:
    """Returns a layout whose x is the longest path to a node.

    Args:
        dag: The wiring.

    Raises:
        WiringError: If edges span so many layers that no picture could show them.
    """
    layer = longest_path_layers(dag)
    spans = sum(layer[j] - layer[i] for i, j in dag.edges)
    if spans + len(dag) > MAX_SLOTS:
        raise WiringError(
            f"a layered drawing has at most {MAX_SLOTS} slots, this one needs "
            f"{spans + len(dag)}; draw it as a matrix"
        )
    chains, before, after = _slots(dag, layer)
    rows: list[list[int]] = [[] for _ in range(max(layer) + 1)]
    depth = [*layer, *(0 for _ in range(len(before) - len(dag)))]
    for (i, _), chain in chains.items():
        for at, slot in enumerate(chain):
            depth[slot] = layer[i] + at
    for slot, x in enumerate(depth):
        rows[x].append(slot)
    _order(rows, before, after)
    y = _straighten(rows, before, after, real=len(dag))
    return Layout(
        nodes={node: (layer[node], y[node]) for node in range(len(dag))},
        routes={
            edge: [(depth[slot], y[slot]) for slot in chain]
            for edge, chain in chains.items()
        },
    )


def _slots(
    dag: nx.DiGraph, layer: Sequence[int]
) -> tuple[dict[tuple[int, int], list[int]], list[list[int]], list[list[int]]]:
    """Returns each edge's chain of slots, and every slot's neighbours either side."""
    before: list[list[int]] = [[] for _ in dag]
    after: list[list[int]] = [[] for _ in dag]
    chains = {}
    for i, j in sorted(dag.edges):
        chain = [i]
        for _ in range(layer[j] - layer[i] - 1):
            before.append([])
            after.append([])
            chain.append(len(before) - 1)
        chain.append(j)
        for left, right in pairwise(chain):
            after[left].append(right)
            before[right].append(left)
        chains[i, j] = chain
    return chains, before, after


def _order(
    rows: list[list[int]], before: list[list[int]], after: list[list[int]]
) -> None:
    """Sorts each row by its neighbours' mean place, forth and back; keeps the best."""
    best, fewest = [list(row) for row in rows], _crossings(rows, after)
    for sweep in range(_SWEEPS):
        forth = sweep % 2 == 0
        neighbours = before if forth else after
        steps = range(1, len(rows)) if forth else range(len(rows) - 2, -1, -1)
        for x in steps:
            beside = rows[x - 1] if forth else rows[x + 1]
            place = {slot: at for at, slot in enumerate(beside)}
            wish = {
                slot: _mean([place[other] for other in neighbours[slot]], otherwise=at)
                for at, slot in enumerate(rows[x])
            }
            rows[x].sort(key=wish.__getitem__)
        crossings = _crossings(rows, after)
        if crossings < fewest:
            best, fewest = [list(row) for row in rows], crossings
    rows[:] = best


def _mean(places: list[int], *, otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def _crossings(rows: list[list[int]], after: list[list[int]]) -> int:
    total = 0
    for row, beside in pairwise(rows):
        place = {slot: at for at, slot in enumerate(beside)}
        passed: list[int] = []
        for slot in row:
            ends = sorted(place[other] for other in after[slot])
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def _straighten(
    rows: list[list[int]],
    before: list[list[int]],
    after: list[list[int]],
    *,
    real: int,
) -> list[float]:
    """Returns each slot's y: near its neighbours', in its row's order, with room.

    Args:
        rows: Slots in their order.
        before: Each slot's neighbours to the left.
        after: Each slot's neighbours to the right.
        real: How many slots are nodes; they come first.
    """
    y = [0.0] * len(before)
    rooms = []
    for row in rows:
        gaps = [_gap(a < real, b < real) for a, b in pairwise(row)]
        rooms.append(np.concatenate(([0.0], np.cumsum(gaps))))
        for slot, place in zip(row, rooms[-1] - rooms[-1][-1] / 2, strict=True):
            y[slot] = float(place)
    for sweep in range(_SWEEPS):
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        for x in order:
            row = rows[x]
            wanted = [_wish(slot, y, before, after, real) for slot in row]
            # Least squares under "each at least its gap above the last" is isotonic
            # regression once the gaps are taken off.
            fitted = isotonic_regression(np.asarray(wanted) - rooms[x]).x + rooms[x]
            for slot, place in zip(row, fitted, strict=True):
                y[slot] = float(place)
    return y


def _wish(
    slot: int,
    y: list[float],
    before: list[list[int]],
    after: list[list[int]],
    real: int,
) -> float:
    others = [y[other] for other in (*before[slot], *after[slot])]
    return sum(others) / len(others)


def _gap(left_is_node: bool, right_is_node: bool) -> float:
    return {0: 0.45, 1: 0.8, 2: 1.0}[left_is_node + right_is_node]
