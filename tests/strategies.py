"""Random wirings for tests."""

from typing import Any

import networkx as nx
from hypothesis import strategies as st

from ddw_graph.wiring import IDENTITY, with_terminals


@st.composite
def wirings(
    draw: st.DrawFn, least: int = 1, most: int = 6, identity: bool = False
) -> nx.DiGraph:
    """Draws any wiring: any set of inner edges, and any terminals that are allowed.

    With ``identity`` any nodes but one may be identity nodes.
    """
    n = draw(st.integers(least, most))
    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    kept = draw(st.lists(st.sampled_from(pairs), unique=True)) if pairs else []
    inner: nx.DiGraph = nx.DiGraph()
    inner.add_nodes_from(range(n))
    inner.add_edges_from(kept)
    dag = with_terminals(inner)
    fed = draw(st.sets(st.integers(1, n + 1)))
    gathered = draw(st.sets(st.integers(0, n)))
    dag.add_edges_from((0, j) for j in fed)
    dag.add_edges_from((i, n + 1) for i in gathered)
    if identity:
        nodes = st.permutations(range(1, n + 1)).map(lambda order: order[1:])
        for node in draw(nodes)[: draw(st.integers(0, n - 1))]:
            dag.nodes[node]["operation"] = IDENTITY
    return dag


@st.composite
def weighted_wirings(draw: st.DrawFn, most: int = 6) -> nx.DiGraph:
    """Draws a wiring of which at least one edge has a weight."""
    dag = draw(wirings(most=most))
    edges = st.sampled_from(sorted(dag.edges))
    weights = st.floats(-4, 4) | st.integers(-4, 4)
    for (i, j), weight in draw(st.dictionaries(edges, weights, min_size=1)).items():
        dag.edges[i, j]["weight"] = weight
    return dag


NO_WEIGHTS: dict[str, Any] = {
    "text": "0.5",
    "code": '"]; 7 -> 8 [label="',
    "not a number": float("nan"),
    "infinite": -float("inf"),
    "truth": True,
    "nothing": None,
    "list": [0.5],
    "huge": 10**400,
    "beyond float32": 1e39,
}
"""What an edge's attribute ``weight`` may not be."""
