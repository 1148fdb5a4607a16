"""The graph layer: check, describe, compare, save and load a wiring.

A wiring is an ``nx.DiGraph`` with nodes ``0..N-1`` in topological order. Node 0 is the
input, node N-1 the output, and the nodes between them compute: n of them, N - 2 unless
some are identity nodes, which emit the sum of their inputs.
"""

from ddw_graph.errors import WiringError
from ddw_graph.wiring.checks import (
    IDENTITY,
    MAX_EDGES,
    MAX_NODES,
    check,
    computing_nodes,
    edge_attributes,
    edge_list,
)
from ddw_graph.wiring.description import Description, describe
from ddw_graph.wiring.difference import WiringDiff, diff
from ddw_graph.wiring.exchange import to_dot, to_graphml
from ddw_graph.wiring.files import load, save
from ddw_graph.wiring.schema import from_dict, to_dict
from ddw_graph.wiring.terminals import with_terminals
from ddw_graph.wiring.text import text_drawing

__all__ = [
    "IDENTITY",
    "MAX_EDGES",
    "MAX_NODES",
    "Description",
    "WiringDiff",
    "WiringError",
    "check",
    "computing_nodes",
    "describe",
    "diff",
    "edge_attributes",
    "edge_list",
    "from_dict",
    "load",
    "save",
    "text_drawing",
    "to_dict",
    "to_dot",
    "to_graphml",
    "with_terminals",
]
