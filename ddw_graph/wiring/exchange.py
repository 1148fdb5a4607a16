"""Wirings for other programs: GraphML and DOT."""

import os
from collections.abc import Iterator

import networkx as nx

from ddw_graph.atomic import write_bytes
from ddw_graph.wiring.checks import check, edge_attributes, edge_list
from ddw_graph.wiring.schema import ORIGIN, header


def to_graphml(
    dag: nx.DiGraph, path: str | os.PathLike[str], *, overwrite: bool = False
) -> bool:
    """Writes a wiring as GraphML and returns whether it had to.

    yEd, Gephi and Cytoscape read it. Nodes have a ``role``: input, output, operation or
    identity, and edges their ``weight`` if any. An existing file with the same content
    is not touched.

    Args:
        path: The file; its folder must exist.
        overwrite: Whether to replace a file of other content.

    Raises:
        FileError: If the file exists with other content and may not be replaced.
        OSError: If the folder or the disk refuses.
    """
    head = header(dag)
    plain = nx.DiGraph(**{key: head[key] for key in ORIGIN if head[key] is not None})
    plain.add_nodes_from((node, {"role": _role(node, dag)}) for node in range(len(dag)))
    for i, j in edge_list(dag):
        weight = dag.edges[i, j].get("weight")
        plain.add_edge(i, j, **({} if weight is None else {"weight": float(weight)}))
    lines = (f"{line}\n".encode() for line in nx.generate_graphml(plain))
    return write_bytes(path, lines, overwrite=overwrite)


def to_dot(dag: nx.DiGraph) -> str:
    """Returns a wiring in Graphviz's DOT language, drawn from left to right.

    Example:
        >>> print(to_dot(nx.DiGraph([(0, 1), (1, 2)])))
        digraph wiring {
          rankdir=LR;
          node [shape=circle];
          0 [shape=box, label="input"];
          1;
          2 [shape=box, label="output"];
          0 -> 1;
          1 -> 2;
        }
        <BLANKLINE>
    """
    edge_attributes(check(dag))
    return "".join(f"{line}\n" for line in _dot_lines(dag))


def _dot_lines(dag: nx.DiGraph) -> Iterator[str]:
    yield "digraph wiring {"
    yield "  rankdir=LR;"
    yield "  node [shape=circle];"
    for node in range(len(dag)):
        role = _role(node, dag)
        shown = {"operation": "", "identity": " [shape=point]"}
        box = shown.get(role, f' [shape=box, label="{role}"]')
        yield f"  {node}{box};"
    for i, j in edge_list(dag):
        weight = dag.edges[i, j].get("weight")
        label = "" if weight is None else f' [label="{weight}"]'
        yield f"  {i} -> {j}{label};"
    yield "}"


def _role(node: int, dag: nx.DiGraph) -> str:
    role: str = dag.nodes[node].get("operation") or "operation"
    return {0: "input", len(dag) - 1: "output"}.get(node, role)
