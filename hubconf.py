"""Entry points of torch.hub.

torch.hub.load("OWNER/ddw_graph", "create_model", "resnet50", edges="dynamic")
"""

from ddw_graph import create_model, list_models, rewire

dependencies = ["jaxtyping", "networkx", "numpy", "safetensors", "torch", "torchvision"]
__all__ = ["create_model", "list_models", "rewire"]
