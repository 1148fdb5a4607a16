"""Wirings of neural networks: a NetworkX DAG compiles to a RandWire or a DDW stage.

Names are handed on when they are first used, so that the command line and the
generators never import torch for nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddw_graph import generators, wiring
    from ddw_graph.models import (
        FeatureNetwork,
        create_model,
        list_models,
        load,
        prune,
        rewire,
        save,
    )
    from ddw_graph.nn.edges import Dynamic, Fixed, Learned
    from ddw_graph.nn.network import Network
    from ddw_graph.nn.stage import Stage

__version__ = "0.1.0"
__all__ = [
    "Dynamic",
    "FeatureNetwork",
    "Fixed",
    "Learned",
    "Network",
    "Stage",
    "create_model",
    "generators",
    "list_models",
    "load",
    "prune",
    "rewire",
    "save",
    "wiring",
]

_HOMES = {
    "Dynamic": "ddw_graph.nn.edges",
    "FeatureNetwork": "ddw_graph.models",
    "Fixed": "ddw_graph.nn.edges",
    "Learned": "ddw_graph.nn.edges",
    "Network": "ddw_graph.nn.network",
    "Stage": "ddw_graph.nn.stage",
    "create_model": "ddw_graph.models",
    "list_models": "ddw_graph.models",
    "load": "ddw_graph.models",
    "prune": "ddw_graph.models",
    "rewire": "ddw_graph.models",
    "save": "ddw_graph.models",
}


def __getattr__(name: str) -> Any:
    """Returns a public name from the module where it lives."""
    if name in ("generators", "wiring"):
        return import_module(f"ddw_graph.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ddw_graph' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names, those not yet imported among them."""
    return sorted([*globals(), *__all__])
