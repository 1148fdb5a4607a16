"""Functions that return a wiring: an ``nx.DiGraph`` with one input and one output.

``n`` counts the nodes that compute, so a wiring has ``n + 2`` nodes; ``streams`` has
identity nodes besides. The graph attribute ``wiring`` of each is the text that names
it, such as ``"ws:n=32,k=4,p=0.75,seed=0"``, and ``networkx`` the release that drew it:
a seed alone does not fix a graph from release to release.
"""

from ddw_graph.generators.depth import dilated, streams
from ddw_graph.generators.from_adjacency import from_adjacency
from ddw_graph.generators.randwire import barabasi_albert, erdos_renyi, watts_strogatz
from ddw_graph.generators.registry import GENERATORS, register
from ddw_graph.generators.regular import complete, densenet, residual, resnet, vgg
from ddw_graph.generators.stages import stage_wirings
from ddw_graph.generators.texts import from_text

__all__ = [
    "GENERATORS",
    "barabasi_albert",
    "complete",
    "densenet",
    "dilated",
    "erdos_renyi",
    "from_adjacency",
    "from_text",
    "register",
    "residual",
    "resnet",
    "stage_wirings",
    "streams",
    "vgg",
    "watts_strogatz",
]
