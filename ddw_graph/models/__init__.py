"""Named networks."""

from ddw_graph.models.create import create_model, from_config, image_size, list_models

__all__ = ["create_model", "from_config", "image_size", "list_models"]
