"""What remains of a sample's wiring if its lighter edges are closed."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ddw_graph.training.collection import StageEdges


class Closed(NamedTuple):
    """What remains of the wirings of some samples in a stage.

    Args:
        open: Which edges are open.
        alive: Which nodes have an open incoming edge; the input always is.
        macs: MACs of the sample's open edges and living nodes.
    """

    open: Bool[np.ndarray, "samples edges"]
    alive: Bool[np.ndarray, "samples nodes"]
    macs: Int[np.ndarray, " samples"]


def closed_below(
    stage: StageEdges, weights: Float[np.ndarray, "samples edges"], tau: float
) -> Closed:
    """Returns what remains if every edge with a weight under ``tau`` is closed.

    By the rules of a stage: an edge that weighs 0 is closed already; a node without an
    open incoming edge is dead and closes its output edges; a living one keeps its
    heaviest output edge, so that a path to the output stays. Weights are compared by
    their size; constant edges have no threshold. At a ``tau`` of 0 the wiring is
    unchanged.

    Example:
        >>> edges = np.array([(0, 1), (0, 2), (1, 2)])
        >>> stage = StageEdges(
        ...     3, edges, np.zeros(3, bool), np.array([0, 10, 0]), np.ones(3, int)
        ... )
        >>> closed_below(stage, np.array([[0.2, 0.9, 0.8]]), 0.5).macs
        array([1])
    """
    sizes = np.abs(weights)
    passes = ((sizes >= tau) | stage.constant) & (sizes > 0)
    is_open = np.zeros(sizes.shape, dtype=np.bool_)
    alive = np.zeros((len(sizes), stage.nodes), dtype=np.bool_)
    alive[:, 0] = True
    source, target = stage.edges.T
    for node in range(stage.nodes - 1):
        (incoming,) = np.nonzero(target == node)
        if node:
            alive[:, node] = is_open[:, incoming].any(1)
        (outgoing,) = np.nonzero(source == node)
        if not len(outgoing):
            continue
        here = passes[:, outgoing]
        heaviest = sizes[:, outgoing].argmax(1)
        lost = ~here.any(1) & (sizes[:, outgoing].max(1) > 0)
        here[lost, heaviest[lost]] = True
        is_open[:, outgoing] = here & alive[:, [node]]
    (incoming,) = np.nonzero(target == stage.nodes - 1)
    alive[:, -1] = is_open[:, incoming].any(1)
    macs = is_open @ stage.edge_macs + alive @ stage.node_macs
    return Closed(is_open, alive, macs)
