"""Random wirings for tests."""

import networkx as nx
from hypothesis import strategies as st

from ddw_graph.wiring import with_terminals


@st.composite
def wirings(draw: st.DrawFn, least: int = 1, most: int = 6) -> nx.DiGraph:
    """Draws any wiring: any set of inner edges, and any terminals that are allowed."""
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
    return dag
