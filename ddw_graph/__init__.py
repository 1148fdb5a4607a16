"""Wirings of neural networks: a NetworkX DAG compiles to a RandWire or a DDW stage.

Names are imported when they are first used, so that the command line and the generators
do without torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import import_lazily

if TYPE_CHECKING:
    from ddw_graph import analysis as analysis
    from ddw_graph import generators as generators
    from ddw_graph import wiring as wiring
    from ddw_graph.models import FeatureNetwork as FeatureNetwork
    from ddw_graph.models import convert as convert
    from ddw_graph.models import create_model as create_model
    from ddw_graph.models import list_models as list_models
    from ddw_graph.models import load as load
    from ddw_graph.models import load_backbone as load_backbone
    from ddw_graph.models import prune as prune
    from ddw_graph.models import rewire as rewire
    from ddw_graph.models import save as save
    from ddw_graph.models import share_in_stages as share_in_stages
    from ddw_graph.nn.dynamic import Dynamic as Dynamic
    from ddw_graph.nn.edge_weights import EdgeWeights as EdgeWeights
    from ddw_graph.nn.edge_weights import Gated as Gated
    from ddw_graph.nn.edges import edge_kind as edge_kind
    from ddw_graph.nn.host_network import HostNetwork as HostNetwork
    from ddw_graph.nn.network import Network as Network
    from ddw_graph.nn.receiver import Receiver as Receiver
    from ddw_graph.nn.sinkhorn import Sinkhorn as Sinkhorn
    from ddw_graph.nn.softmax import Attention as Attention
    from ddw_graph.nn.stage import Stage as Stage
    from ddw_graph.nn.static import Fixed as Fixed
    from ddw_graph.nn.static import Learned as Learned

__version__ = "0.1.0"
import_lazily(__name__)
