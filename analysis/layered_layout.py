"""Where nodes and edges of a layered drawing go, so that edges pass between nodes.

The method of Sugiyama, Tagawa and Toda (1981): a node's layer is given; an edge that
spans several layers holds a slot in each of them; the slots of a layer are sorted by
their neighbours' heights, and placed near these.
"""

from itertools import pairwise

import networkx as nx
import numpy as np
from jaxtyping import Float
from scipy.optimize import isotonic_regression

from ddw_graph.errors import WiringError
from ddw_graph.wiring.description import longest_path_layers

MAX_SLOTS = 20_000
"""Most slots of nodes and edges together; a drawing of more shows nothing."""

_SWEEPS = 24

Routes = dict[tuple[int, int], Float[np.ndarray, "points 2"]]


def layered_layout(dag: nx.DiGraph) -> Routes:
    """Returns the points that each edge passes, those of its two nodes included.

    Coordinate x is the longest path to a node; two nodes of a layer are at least 1
    apart in y, a node and an edge 0.8, two edges 0.45.

    Raises:
        WiringError: If edges span so many layers that no picture could show them.

    Example:
        >>> layered_layout(nx.DiGraph([(0, 1), (0, 2), (1, 2)]))[0, 2].tolist()
        [[0.0, 0.0], [1.0, 0.4], [2.0, 0.0]]
    """
    layer = longest_path_layers(dag)
    needed = len(dag) + sum(layer[j] - layer[i] - 1 for i, j in dag.edges)
    if needed > MAX_SLOTS:
        raise WiringError(
            f"a layered drawing has at most {MAX_SLOTS} slots, this one needs "
            f"{needed}; draw it as a matrix"
        )
    # A slot is its layer with the edge that passes, or twice the node that is there.
    chains = {
        (i, j): [
            (layer[i], i, i),
            *((x, i, j) for x in range(layer[i] + 1, layer[j])),
            (layer[j], j, j),
        ]
        for i, j in sorted(dag.edges)
    }
    slots = nx.Graph()
    for chain in chains.values():
        nx.add_path(slots, chain)
    rows: list[list[tuple[int, int, int]]] = [[] for _ in range(layer[-1] + 1)]
    for slot in slots:
        rows[slot[0]].append(slot)
    y = {slot: float(at) for row in rows for at, slot in enumerate(row)}
    for sweep in range(_SWEEPS):
        # Rows are sorted by the side that the sweep comes from; later, and in the last
        # sweep, they are only moved.
        forward, sorts = sweep % 2 == 0, sweep < _SWEEPS // 2
        for row in rows if forward else reversed(rows):
            side = row[0][0] + (-1 if forward else 1)
            wish = {}
            for slot in row:
                others = [n for n in slots[slot] if not sorts or n[0] == side]
                wish[slot] = np.mean([y[other] for other in others or [slot]])
            if sorts:
                row.sort(key=wish.__getitem__)
            gaps = [_gap(one, other) for one, other in pairwise(row)]
            room = np.cumsum([0.0, *gaps])
            # Least squares under "each at least its gap above the last" is isotonic
            # regression once the gaps are taken off.
            wanted = np.array([wish[slot] for slot in row]) - room
            fitted = isotonic_regression(wanted).x + room
            y.update(zip(row, map(float, fitted), strict=True))
    start = y[0, 0, 0]
    return {
        edge: np.array([(slot[0], y[slot] - start) for slot in chain])
        for edge, chain in chains.items()
    }


def _gap(*slots: tuple[int, int, int]) -> float:
    nodes = sum(source == target for _, source, target in slots)
    return (0.45, 0.8, 1.0)[nodes]
