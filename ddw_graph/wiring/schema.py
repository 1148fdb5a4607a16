"""The plain form of a wiring, as it stands in JSON, and its checks."""

import math
import reprlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import networkx as nx

from ddw_graph.errors import WiringError
from ddw_graph.wiring.checks import (
    IDENTITY,
    MAX_NODES,
    check,
    computing_nodes,
    edge_attributes,
    edge_list,
)

FORMAT = "ddw_graph.wiring"
VERSION = 1

_Scalar = (str, int, float, bool, type(None))


def to_dict(dag: nx.DiGraph) -> dict[str, Any]:
    """Returns a wiring as numbers, texts, lists and dicts, ready for JSON.

    The edges themselves are in it, never only the seed that drew them, and how the
    wiring came about: ``generator``, ``arguments`` and the ``networkx`` release, None
    where the graph does not say. Where an edge has an attribute ``weight``, ``weights``
    has one for each edge, in their order. Where there are identity nodes, ``identity``
    lists them. Other attributes are no part of a wiring.

    Raises:
        WiringError: If ``dag`` is no wiring, or its account of its origin is malformed.

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
    return {
        "format": FORMAT,
        "version": VERSION,
        **_origin(dag.graph, where="the graph's"),
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
    if not isinstance(obj, dict):
        raise WiringError(f"a wiring is a JSON object, got {_brief(obj)}")
    if "format" in obj or "edge_list" in obj:
        return _from_own(obj)
    if "directed" in obj or "links" in obj or isinstance(obj.get("edges"), list):
        return _from_node_link(obj)
    raise WiringError(
        f'a wiring\'s file says "format": "{FORMAT}" or is node-link data of NetworkX, '
        "this one is neither"
    )


def _from_own(obj: Mapping[str, object]) -> nx.DiGraph:
    if obj.get("format") != FORMAT:
        raise WiringError(f'format must be "{FORMAT}", got {_brief(obj.get("format"))}')
    version = obj.get("version")
    if type(version) is not int or version != VERSION:
        raise WiringError(
            f"version {_brief(version)} of the format is unknown, this release reads "
            f"version {VERSION}"
        )
    size, edges = _count(obj, "nodes"), _count(obj, "edges")
    _check_size(size)
    pairs = obj.get("edge_list")
    if not isinstance(pairs, list):
        raise WiringError(f"edge_list must be a list of [i, j], got {_brief(pairs)}")
    if len(pairs) != edges:
        raise WiringError(
            "edges must be the length of edge_list, "
            f"got edges={edges} and {len(pairs)} entries"
        )
    weights = obj.get("weights")
    if weights is not None and (not isinstance(weights, list) or len(weights) != edges):
        raise WiringError(
            f"weights must be a list of {edges} numbers, one for each edge, got "
            f"{_brief(weights)}"
        )
    identity = obj.get("identity", [])
    if not isinstance(identity, list) or not all(
        type(node) is int and 0 < node < size - 1 for node in identity
    ):
        raise WiringError(
            f"identity must be a list of nodes in 1..{size - 2}, got {_brief(identity)}"
        )
    origin = _origin(obj, where="the file's")
    dag = check(_graph(size, pairs, origin, dict.fromkeys(identity, IDENTITY)))
    return _with_weights(dag, pairs, weights or [])


def _from_node_link(obj: Mapping[str, object]) -> nx.DiGraph:
    if obj.get("directed") is not True:
        raise WiringError(
            "node-link data must be directed, "
            f"got directed={_brief(obj.get('directed'))}"
        )
    if obj.get("multigraph", False) is not False:
        raise WiringError(
            "node-link data must not be a multigraph, "
            f"got multigraph={_brief(obj.get('multigraph'))}"
        )
    nodes = obj.get("nodes")
    if not isinstance(nodes, list):
        raise WiringError(f"nodes must be a list of objects, got {_brief(nodes)}")
    _check_size(len(nodes))
    seen: set[int] = set()
    for node in nodes:
        if not isinstance(node, dict):
            raise WiringError(f"nodes must be a list of objects, got {_brief(node)}")
        name = node.get("id")
        if type(name) is not int or not 0 <= name < len(nodes):
            raise WiringError(
                f"node ids must be the integers 0..{len(nodes) - 1}, got {_brief(name)}"
            )
        if name in seen:
            raise WiringError(f"every node id stands once, but {name} stands twice")
        seen.add(name)
    key = "links" if "links" in obj else "edges"
    links = obj.get(key)
    if not isinstance(links, list):
        raise WiringError(f"{key} must be a list of objects, got {_brief(links)}")
    for at, link in enumerate(links):
        if not isinstance(link, dict) or not {"source", "target"} <= link.keys():
            raise WiringError(
                f"an edge must say source and target, got {_brief(link)} at {key}[{at}]"
            )
    graph = obj.get("graph", {})
    if not isinstance(graph, dict):
        raise WiringError(f"graph must be an object, got {_brief(graph)}")
    origin = _origin(graph, where="the graph's")
    pairs = [[link["source"], link["target"]] for link in links]
    operations = {
        node["id"]: node["operation"]
        for node in nodes
        if node.get("operation") is not None
    }
    dag = check(_graph(len(nodes), pairs, origin, operations))
    if any("weight" in link for link in links):
        _with_weights(dag, pairs, [link.get("weight", 1.0) for link in links])
    return dag


def _with_weights(
    dag: nx.DiGraph, pairs: Iterable[Any], weights: Iterable[Any]
) -> nx.DiGraph:
    """Returns a graph after its edges have got the attribute ``weight``, checked."""
    for (i, j), weight in zip(pairs, weights, strict=False):
        dag.edges[i, j]["weight"] = weight
    edge_attributes(dag)
    return dag


def _graph(
    size: int,
    pairs: Iterable[object],
    origin: Mapping[str, object],
    operations: Mapping[int, object],
) -> nx.DiGraph:
    """Returns the graph of an untrusted edge list, checked entry by entry."""
    dag = nx.DiGraph()
    dag.graph.update((key, value) for key, value in origin.items() if value is not None)
    dag.add_nodes_from(range(size))
    nx.set_node_attributes(dag, operations, "operation")
    dag.add_edges_from(_checked(pairs, dag))
    return dag


def _checked(pairs: Iterable[object], dag: nx.DiGraph) -> Iterator[tuple[int, int]]:
    """Yields each entry as an edge that ``dag``, which grows meanwhile, lacks."""
    size, successors = len(dag), dag._succ
    for at, pair in enumerate(pairs):
        if not isinstance(pair, list) or len(pair) != 2:
            raise WiringError(
                f"an edge must be two integers [i, j], got {_brief(pair)} at edge {at}"
            )
        i, j = pair
        if type(i) is not int or type(j) is not int:
            raise WiringError(
                f"an edge must be two integers [i, j], got {_brief(pair)} at edge {at}"
            )
        if not (0 <= i < size and 0 <= j < size):
            unknown = j if 0 <= i < size else i
            raise WiringError(
                f"nodes are 0..{size - 1}, but edge {at} names node {_brief(unknown)}"
            )
        if j in successors[i]:
            raise WiringError(f"every edge stands once, but {i} -> {j} stands twice")
        yield i, j


def _check_size(size: int) -> None:
    # Known before a single node is built.
    if size > MAX_NODES:
        raise WiringError(f"a wiring has at most {MAX_NODES} nodes, got {_brief(size)}")


def _count(obj: Mapping[str, object], key: str) -> int:
    count = obj.get(key)
    if type(count) is not int or count < 0:
        raise WiringError(f"{key} must be a count, got {_brief(count)}")
    return count


def _origin(graph: Mapping[str, object], *, where: str) -> dict[str, Any]:
    generator, networkx = graph.get("generator"), graph.get("networkx")
    arguments = graph.get("arguments")
    for key, text in (("generator", generator), ("networkx", networkx)):
        if text is not None and not isinstance(text, str):
            raise WiringError(f"{where} {key} must be a text, got {_brief(text)}")
    if arguments is not None and not (
        isinstance(arguments, Mapping)
        and all(isinstance(key, str) for key in arguments)
        and all(isinstance(value, _Scalar) for value in arguments.values())
        and all(math.isfinite(v) for v in arguments.values() if isinstance(v, float))
    ):
        raise WiringError(
            f"{where} arguments must be an object of texts and finite numbers, "
            f"got {_brief(arguments)}"
        )
    return {
        "generator": generator,
        "arguments": None if arguments is None else dict(arguments),
        "networkx": networkx,
    }


def _brief(thing: object) -> str:
    """Returns an untrusted value in a few words, however long or deep it is."""
    if isinstance(thing, int) and abs(thing) >= 10**20:
        return f"an integer of {thing.bit_length()} bits"
    if isinstance(thing, dict):
        return f"an object of {len(thing)}"
    if isinstance(thing, list) and len(thing) > 4:
        return f"a list of {len(thing)}"
    text = reprlib.repr(thing)
    return text if len(text) <= 60 else f"{text[:57]}..."
