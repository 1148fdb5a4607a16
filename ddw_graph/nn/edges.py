"""Kinds of edge weights by name, and the texts that name one with its settings."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from importlib import import_module
from typing import Any, TypeVar

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import saved_or_given
from ddw_graph.nn.dynamic import Dynamic
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.receiver import Receiver
from ddw_graph.nn.sinkhorn import Sinkhorn
from ddw_graph.nn.softmax import Attention
from ddw_graph.nn.static import Fixed, Learned

KINDS: dict[str, Any] = {
    kind.kind: kind for kind in (Fixed, Learned, Dynamic, Attention, Receiver, Sinkhorn)
}
"""The kinds by name: what is called with ``(plan, channels)`` and returns
``EdgeWeights``, or a dataclass of settings whose instances are called so."""

TEXT = (str, int, float)
"""What a setting must be for a text to name it."""

IMPORT = "DDW_GRAPH_IMPORT"
"""Environment variable: modules that name kinds of edges, separated by commas."""

Kind = TypeVar("Kind", bound=Callable[..., Any])


def edge_kind(name: str) -> Callable[[Kind], Kind]:
    """Names a kind of edge weights, for the command line, sweeps and saved files.

    Decorates what is called with ``(plan, channels)`` and returns ``EdgeWeights``: a
    class of them, or a function; or, for a kind with settings, a frozen dataclass,
    each field with a default, whose instances are called so. Texts can name the fields
    that are texts, integers or floats.

    Args:
        name: Lower-case letters, digits and underscores.

    Raises:
        ModelError: If the name is taken, or not of that form.

    Example:
        >>> from ddw_graph.nn.edge_weights import EdgeWeights
        >>> @edge_kind("ones")
        ... class Ones(EdgeWeights):
        ...     pass
        >>> edge_settings("ones") is Ones
        True
        >>> del KINDS["ones"]
    """
    if not re.fullmatch("[a-z][a-z0-9_]*", name):
        raise ModelError(
            "the name of a kind of edges has lower-case letters, digits and "
            f"underscores, got {name!r}"
        )

    def register(kind: Kind) -> Kind:
        if is_dataclass(kind) and any(f.default is MISSING for f in fields(kind)):
            raise ModelError(f"each setting of {name} edges must have a default")
        taken = KINDS.get(name)
        # A module that is imported again, in a notebook say, defines the same anew.
        if taken is not None and not _same_place(taken, kind):
            raise ModelError(f"edges of the kind {name!r} exist already")
        kind.kind = name  # type: ignore[attr-defined]
        KINDS[name] = kind
        return kind

    return register


def _same_place(one: Any, other: Any) -> bool:
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def kind_name(edges: Edges) -> str | None:
    """Returns the name of a kind of edges; None for a callable without one."""
    name: str | None = getattr(edges, "kind", None)
    known = KINDS.get(name or "")  # not one's that inherits from it
    return name if known is edges or known is type(edges) else None


def is_static(edges: str | Edges) -> bool:
    """Returns whether all samples share the weights: of fixed and learned edges.

    Example:
        >>> is_static("learned:form=free"), is_static("attention")
        (True, False)
    """
    return kind_name(edge_settings(edges)) in ("fixed", "learned")


def edge_settings(edges: str | Edges) -> Edges:
    """Returns the kind of edges that a text names, or the one that is given.

    Example:
        >>> edge_settings("dynamic:bias=0,gate=hard").gate
        'hard'
    """
    if isinstance(edges, type) and is_dataclass(edges):
        by_default: Any = edges
        return edge_settings(by_default())
    if not isinstance(edges, str):
        if not callable(edges):
            raise ModelError(
                "edges must be a name, settings, or a callable (plan, channels) -> "
                f"EdgeWeights, got {edges!r}"
            )
        return edges
    name, _, rest = edges.partition(":")
    kind = _kind(name)
    known = _text_settings(kind)
    values: dict[str, Any] = {}
    for item in filter(None, rest.split(",")):
        key, equals, value = item.partition("=")
        if key not in known or not equals:
            raise ModelError(
                f"settings of {name} edges are key=value with the keys "
                f"{', '.join(known) or 'none'}, got {item!r}"
            )
        if key in values:
            raise ModelError(f"{key} is given twice in {edges!r}")
        try:
            values[key] = type(known[key])(value)
        except ValueError as error:
            what = "an integer" if type(known[key]) is int else "a number"
            raise ModelError(f"{key} must be {what}, got {value!r}") from error
    has_settings = is_dataclass(kind)
    found: Edges = kind(**values) if has_settings else kind
    return found


def edge_text(edges: Edges) -> str:
    """Returns the text that ``edge_settings`` reads, defaults left out.

    Example:
        >>> edge_text(Dynamic(gate="none", bias=0.0))
        'dynamic:bias=0,gate=none'
    """
    name = kind_name(edges)
    if name is None:
        return getattr(edges, "__name__", type(edges).__name__)
    changed = []
    settings: Sequence[Field[Any]] = fields(edges) if is_dataclass(edges) else ()
    for field in settings:
        value = getattr(edges, field.name)
        if value != field.default:
            text = str(getattr(value, "__name__", value)).removesuffix(".0")
            changed.append(f"{field.name}={text}")
    return ":".join(filter(None, (name, ",".join(changed))))


def saved_text(edges: Edges) -> str | None:
    """Returns the text of a kind of edges for a file.

    None where a text cannot hold it: it has no name, or a callable of the caller's.
    """
    text = edge_text(edges)
    try:
        return text if edge_settings(text) == edges else None
    except ModelError:
        return None


def from_saved(text: str | None, given: str | Edges | None) -> Edges:
    """Returns the kind of edges of a saved network."""
    saved = None if text is None else edge_text(edge_settings(text))
    wanted = None if given is None else edge_settings(given)
    named = None if wanted is None else saved_text(wanted) or wanted
    return edge_settings(saved_or_given("edges", saved, named))


def _kind(name: str) -> Any:
    if name not in KINDS:
        for module in filter(None, os.environ.get(IMPORT, "").split(",")):
            try:
                import_module(module.strip())
            except (ImportError, SyntaxError, TypeError, ValueError) as error:
                raise ModelError(f"{IMPORT} names {module!r}: {error}") from error
    if name not in KINDS:
        raise ModelError(
            f"edges must be one of {', '.join(KINDS)}, got {name!r}; for your own kind "
            f"import the module that names it with edge_kind, or set {IMPORT} to it"
        )
    return KINDS[name]


def _text_settings(kind: Any) -> dict[str, Any]:
    """Returns the settings of a kind that a text can name, with their defaults."""
    each = {f.name: f.default for f in fields(kind)} if is_dataclass(kind) else {}
    return {name: value for name, value in each.items() if type(value) in TEXT}
