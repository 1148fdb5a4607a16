"""Looking at wirings and at what networks do with them: tables, pictures, reports.

Names are handed on when they are first used, so that pictures of wirings never import
torch for nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddw_graph.analysis.adjacency import adjacency_frame
    from ddw_graph.analysis.learning.graphs import to_pyg

__all__ = ["adjacency_frame", "to_pyg"]

_HOMES = {
    "adjacency_frame": "ddw_graph.analysis.adjacency",
    "to_pyg": "ddw_graph.analysis.learning.graphs",
}


def __getattr__(name: str) -> Any:
    """Returns a public name from the module where it lives."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'ddw_graph.analysis' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Returns the public names, those not yet imported among them."""
    return sorted([*globals(), *__all__])
