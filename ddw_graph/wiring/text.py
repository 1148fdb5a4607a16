"""Wirings in a terminal."""

from collections.abc import Iterator

import networkx as nx

from ddw_graph.wiring.checks import check, computing_nodes

MAX_COLUMNS = 48
"""Most nodes that a triangle shows; a longer wiring is a list."""


def text_drawing(dag: nx.DiGraph) -> str:
    """Returns a wiring as text: a row for each node, which marks its inputs.

    Rows receive and columns feed, as in the adjacency matrix: ``#`` is an edge, ``.``
    none. A row ends with its node's number, which heads the column below it; the last
    lines repeat the numbers, read downwards. ``=`` marks identity nodes.
    Above ``MAX_COLUMNS`` nodes a row lists its inputs instead.

    Example:
        >>> print(text_drawing(nx.DiGraph([(0, 1), (0, 2), (1, 2), (2, 3)])))
        0 input   0
        1         # 1
        2         # # 2
        3 output  . . # 3
                  0 1 2 3
    """
    check(dag)
    lines = _triangle(dag) if len(dag) <= MAX_COLUMNS else _list(dag)
    return "\n".join(line.rstrip() for line in lines)


def _triangle(dag: nx.DiGraph) -> Iterator[str]:
    size = len(dag)
    width = len(str(size - 1))
    role = dict.fromkeys(range(size), "=")
    role |= dict.fromkeys(computing_nodes(dag), "") | {0: "input", size - 1: "output"}
    for j in range(size):
        marks = " ".join("#" if i in dag.pred[j] else "." for i in range(j))
        yield f"{j:>{width}} {role[j]:6}  {marks}{' ' if j else ''}{j}"
    # Tens above ones.
    for digits in zip(*(f"{node:>{width}}" for node in range(size)), strict=True):
        yield f"{'':{width}} {'':6}  {' '.join(digits)}"


def _list(dag: nx.DiGraph) -> Iterator[str]:
    width = len(str(len(dag) - 1))
    computing = {*computing_nodes(dag), len(dag) - 1}
    for j in range(1, len(dag)):
        mark = "" if j in computing else " ="
        yield f"{j:>{width}} <- {', '.join(map(str, sorted(dag.pred[j])))}{mark}"
