"""Wirings of neural networks: a NetworkX DAG compiles to a RandWire or a DDW stage.

Names are imported when they are first used, so that the command line and the generators
do without torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import lazy_names

if TYPE_CHECKING:
    from ddw_graph import analysis, generators, wiring
    from ddw_graph.models import (
        FeatureNetwork,
        convert,
        create_model,
        list_models,
        load,
        prune,
        rewire,
        save,
    )
    from ddw_graph.nn.dynamic import Dynamic
    from ddw_graph.nn.edge_weights import EdgeWeights, Gated
    from ddw_graph.nn.edges import edge_kind
    from ddw_graph.nn.network import Network
    from ddw_graph.nn.receiver import Receiver
    from ddw_graph.nn.softmax import Attention
    from ddw_graph.nn.stage import Stage
    from ddw_graph.nn.static import Fixed, Learned

__version__ = "0.1.0"
__all__ = [
    "Attention",
    "Dynamic",
    "EdgeWeights",
    "FeatureNetwork",
    "Fixed",
    "Gated",
    "Learned",
    "Network",
    "Receiver",
    "Stage",
    "analysis",
    "convert",
    "create_model",
    "edge_kind",
    "generators",
    "list_models",
    "load",
    "prune",
    "rewire",
    "save",
    "wiring",
]

_HOMES = {
    "analysis": "ddw_graph.analysis",
    "Attention": "ddw_graph.nn.softmax",
    "Dynamic": "ddw_graph.nn.dynamic",
    "EdgeWeights": "ddw_graph.nn.edge_weights",
    "FeatureNetwork": "ddw_graph.models",
    "Fixed": "ddw_graph.nn.static",
    "Gated": "ddw_graph.nn.edge_weights",
    "Learned": "ddw_graph.nn.static",
    "Network": "ddw_graph.nn.network",
    "Receiver": "ddw_graph.nn.receiver",
    "Stage": "ddw_graph.nn.stage",
    "convert": "ddw_graph.models",
    "create_model": "ddw_graph.models",
    "edge_kind": "ddw_graph.nn.edges",
    "generators": "ddw_graph.generators",
    "list_models": "ddw_graph.models",
    "load": "ddw_graph.models",
    "prune": "ddw_graph.models",
    "rewire": "ddw_graph.models",
    "save": "ddw_graph.models",
    "wiring": "ddw_graph.wiring",
}


__getattr__, __dir__ = lazy_names(__name__, _HOMES)
