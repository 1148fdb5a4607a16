"""Named networks, networks rewired, and their files."""

from ddw_graph.models.backbone_weights import load_backbone
from ddw_graph.models.conversion import convert
from ddw_graph.models.create import create_model, from_config, image_size, list_models
from ddw_graph.models.features import FeatureNetwork
from ddw_graph.models.files import load, save
from ddw_graph.models.pruning import prune
from ddw_graph.models.rewiring import rewire
from ddw_graph.models.share import share_in_stages

__all__ = [
    "FeatureNetwork",
    "convert",
    "create_model",
    "from_config",
    "image_size",
    "list_models",
    "load",
    "load_backbone",
    "prune",
    "rewire",
    "save",
    "share_in_stages",
]
