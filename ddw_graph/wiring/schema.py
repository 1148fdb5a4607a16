"""The plain form of a wiring, as it stands in JSON, and its checks."""

import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import networkx as nx

from ddw_graph.errors import WiringError
from ddw_graph.wiring.checks import (
    IDENTITY,
    check,
    check_size,
    computing_nodes,
    edge_attributes,
    edge_list,
)

FORMAT = "ddw_graph.wiring"
VERSION = 1
ORIGIN = ("wiring", "networkx")
"""Attributes of a graph, texts both: the generator's text and NetworkX's release."""

_PAIR = [int, int]


def to_dict(dag: nx.DiGraph) -> dict[str, Any]:
    """Returns a wiring as numbers, texts, lists and dicts, ready for JSON.

    The edges themselves are in it, never only the seed that drew them, and its origin:
    ``wiring``, the text that names it, its ``generator``, and the ``networkx`` release,
    None where the graph does not say. Where an edge has an attribute ``weight``,
    ``weights`` has one for each edge, in their order. Where there are identity nodes,
    ``identity`` lists them. Other attributes are no part of a wiring.

    Raises:
        WiringError: If ``dag`` is no wiring, or its origin is no text.

    Example:
        >>> to_dict(nx.DiGraph([(0, 1), (1, 2)]))["edge_list"]
        [[0, 1], [1, 2]]
    """
    return {**header(dag), "edge_list": [list(edge) for edge in edge_list(dag)]}


def header(dag: nx.DiGraph) -> dict[str, Any]:
    """Returns :func:`to_dict` without its edge list: what a file begins with."""
    computing = computing_nodes(check(dag))
    identity = sorted({*range(1, len(dag) - 1)}.difference(computing))
    weights = edge_attributes(dag)
    origin = _origin(dag.graph)
    return {
        "format": FORMAT,
        "version": VERSION,
        "generator": origin["wiring"] and origin["wiring"].partition(":")[0],
        **origin,
        "nodes": len(dag),
        "edges": dag.number_of_edges(),
        **({"identity": identity} if identity else {}),
        **({} if weights is None else {"weights": list(weights)}),
    }


def from_dict(obj: object) -> nx.DiGraph:
    """Returns the wiring that a plain form holds: our own, or NetworkX's node-link.

    Ours is known by its ``format``; what it holds beyond :func:`to_dict` (a
    description) is ignored. Node-link data must be directed and no multigraph, with an
    edge list named ``edges`` or ``links``.

    Raises:
        WiringError: If it is neither form, breaks its form's rules, or is no wiring.

    Example:
        >>> dag = nx.DiGraph([(0, 1), (1, 2)])
        >>> from_dict(to_dict(dag)).edges == dag.edges
        True
        >>> from_dict(nx.node_link_data(dag, edges="edges")).edges == dag.edges
        True
    """
    _require(isinstance(obj, dict), "a wiring must be a JSON object", obj)
    assert isinstance(obj, dict)
    if "format" in obj or "edge_list" in obj:
        return _from_own(obj)
    if "directed" in obj or "links" in obj or isinstance(obj.get("edges"), list):
        return _from_node_link(obj)
    raise WiringError(
        f'a wiring must say "format": "{FORMAT}" or be node-link data of NetworkX, '
        "got neither"
    )


def _from_own(obj: Mapping[str, Any]) -> nx.DiGraph:
    form, version = obj.get("format"), obj.get("version")
    size: Any = obj.get("nodes")
    pairs: Any = obj.get("edge_list")
    edges = obj.get("edges")
    _require(form == FORMAT, f'format must be "{FORMAT}"', form)
    is_known = type(version) is int and version == VERSION
    _require(is_known, f"version must be {VERSION}", version)
    _require(type(size) is int and size >= 0, "nodes must be a count", size)
    _require(isinstance(pairs, list), "edge_list must be a list of [i, j]", pairs)
    counted = type(edges) is int and edges == len(pairs)
    _require(counted, f"edges must be {len(pairs)}, the length of edge_list", edges)
    weights = obj.get("weights")
    _require(
        weights is None or (isinstance(weights, list) and len(weights) == len(pairs)),
        f"weights must be a list of {len(pairs)} numbers, one for each edge",
        weights,
    )
    identity = obj.get("identity", [])
    _require(
        isinstance(identity, list)
        and all(type(node) is int and 0 < node < size - 1 for node in identity),
        "identity must be a list of nodes in 1..N-2",
        identity,
    )
    return _graph(size, pairs, weights, dict.fromkeys(identity, IDENTITY), obj)


def _from_node_link(obj: Mapping[str, Any]) -> nx.DiGraph:
    for key, wanted in (("directed", True), ("multigraph", False)):
        value = obj.get(key, False)
        _require(value is wanted, f"{key} must be {str(wanted).lower()}", value)
    nodes, graph = obj.get("nodes"), obj.get("graph", {})
    key = "links" if "links" in obj else "edges"
    links = obj.get(key)
    _require(isinstance(graph, dict), "graph must be an object", graph)
    for name, values in (("nodes", nodes), (key, links)):
        _require(isinstance(values, list), f"{name} must be a list of objects", values)
    assert isinstance(nodes, list) and isinstance(links, list)
    check_size(len(nodes), len(links))
    operations: dict[int, object] = {}
    for node in nodes:
        _require(isinstance(node, dict), "nodes must be a list of objects", node)
        name = node.get("id")
        _require(
            type(name) is int and 0 <= name < len(nodes) and name not in operations,
            f"node ids must be the integers 0..{len(nodes) - 1}, each once",
            name,
        )
        operations[name] = node.get("operation")
    for link in links:
        fits = isinstance(link, dict) and {"source", "target"} <= link.keys()
        _require(fits, f"{key} must be objects with source and target", link)
    pairs = [[link["source"], link["target"]] for link in links]
    weights = None
    if any("weight" in link for link in links):
        weights = [link.get("weight", 1.0) for link in links]
    computes = [node for node, operation in operations.items() if operation is None]
    for node in computes:
        del operations[node]
    return _graph(len(nodes), pairs, weights, operations, graph)


def _graph(
    size: int,
    pairs: Sequence[Any],
    weights: Iterable[object] | None,
    operations: Mapping[int, object],
    origin: Mapping[str, object],
) -> nx.DiGraph:
    """Returns the wiring of an untrusted edge list, checked entry by entry."""
    check_size(size, len(pairs))
    known = _origin(origin)
    dag = nx.DiGraph(
        **{key: value for key, value in known.items() if value is not None}
    )
    dag.add_nodes_from(range(size))
    nx.set_node_attributes(dag, operations, "operation")
    dag.add_edges_from(_checked(pairs, dag))
    check(dag)
    if weights is not None:
        for (i, j), weight in zip(pairs, weights, strict=True):
            dag.edges[i, j]["weight"] = weight
        edge_attributes(dag)
    return dag


def _checked(pairs: Sequence[Any], dag: nx.DiGraph) -> Iterator[tuple[int, int]]:
    """Yields each entry as an edge that ``dag``, which grows meanwhile, lacks."""
    size, successors = len(dag), dag._succ
    for at, pair in enumerate(pairs):
        # Tests come before texts: there may be millions of edges.
        if not isinstance(pair, list) or len(pair) != 2 or [*map(type, pair)] != _PAIR:
            _require(False, f"edge {at} must be two integers [i, j]", pair)
        i, j = pair
        if not (0 <= i < size and 0 <= j < size):
            _require(False, f"edge {at} must join two of the nodes 0..{size - 1}", pair)
        if j in successors[i]:
            _require(False, f"edge {at} must differ from those before it", pair)
        yield i, j


def _origin(graph: Mapping[str, object]) -> dict[str, Any]:
    found = {key: graph.get(key) for key in ORIGIN}
    for key, value in found.items():
        _require(
            value is None or isinstance(value, str), f"{key} must be a text", value
        )
    return found


def _require(fits: bool, rule: str, value: object) -> None:
    """Raises unless an untrusted value fits a rule; in one short line."""
    if not fits:
        raise WiringError(f"{rule}, got {_brief(value)}")


def _brief(value: object) -> str:
    """Returns an untrusted value in a few words, however long or deep it is."""
    if isinstance(value, int) and abs(value) >= 10**20:
        return f"an integer of {value.bit_length()} bits"
    if isinstance(value, dict):
        return f"an object of {len(value)}"
    if isinstance(value, list) and len(value) > 4:
        return f"a list of {len(value)}"
    shown = reprlib.repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
