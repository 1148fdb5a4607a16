"""Functions that return a wiring: an ``nx.DiGraph`` with one input and one output.

``n`` counts the nodes that compute, so a wiring has ``n + 2`` nodes; ``streams`` has
identity nodes besides. Each wiring carries how it came about in its graph attributes
``generator``, ``arguments`` and ``networkx`` (the release that drew it: a seed alone
does not fix a graph from release to release).
"""

from ddw_graph.generators.barabasi_albert import barabasi_albert
from ddw_graph.generators.depth import dilated, streams
from ddw_graph.generators.erdos_renyi import erdos_renyi
from ddw_graph.generators.from_adjacency import from_adjacency
from ddw_graph.generators.registry import GENERATORS, from_text, is_random
from ddw_graph.generators.regular import complete, densenet, residual, resnet, vgg
from ddw_graph.generators.stages import stage_wirings
from ddw_graph.generators.watts_strogatz import watts_strogatz

__all__ = [
    "GENERATORS",
    "barabasi_albert",
    "complete",
    "densenet",
    "dilated",
    "erdos_renyi",
    "from_adjacency",
    "from_text",
    "is_random",
    "residual",
    "resnet",
    "stage_wirings",
    "streams",
    "vgg",
    "watts_strogatz",
]
