"""Kinds of edge weights by name, and the texts that name one with its settings."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import Field, fields, is_dataclass
from importlib import import_module
from typing import Any, TypeVar

from ddw_graph.errors import ModelError
from ddw_graph.nn.dynamic import Dynamic
from ddw_graph.nn.edge_weights import Edges
from ddw_graph.nn.receiver import Receiver
from ddw_graph.nn.softmax import Attention
from ddw_graph.nn.static import Fixed, Learned

KINDS: dict[str, Any] = {
    kind.kind: kind for kind in (Fixed, Learned, Dynamic, Attention, Receiver)
}
"""The kinds by name: what is called with ``(plan, channels)`` and returns
``EdgeWeights``, or a dataclass of settings whose instances are called so."""

Kind = TypeVar("Kind", bound=Callable[..., Any])


def edge_kind(name: str) -> Callable[[Kind], Kind]:
    """Names a kind of edge weights, for the command line, sweeps and saved files.

    Decorates what is called with ``(plan, channels)`` and returns ``EdgeWeights``: a
    class of them, or a function; or, for a kind with settings, a frozen dataclass of
    texts and floats, each with a default, whose instances are called so.

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
    return name


def is_static(edges: str | Edges) -> bool:
    """Returns whether all samples share the weights: of fixed and learned edges.

    Example:
        >>> is_static("learned:form=free"), is_static("attention")
        (True, False)
    """
    return kind_name(edge_settings(edges)) in ("fixed", "learned")


def edge_settings(edges: str | Edges) -> Edges:
    """Returns the kind of edges that a text names, or the one that is given.

    Args:
        edges: A name from ``KINDS``, with settings after a colon; or a kind itself.

    Raises:
        ModelError: If the kind or a setting is unknown, or a value does not parse.

    Example:
        >>> edge_settings("dynamic:bias=0,gate=hard").gate
        'hard'
    """
    if isinstance(edges, type) and is_dataclass(edges):
        return _made(edges, {})  # all by default
    if not isinstance(edges, str):
        if not callable(edges):
            raise ModelError(
                "edges must be a name, settings, or a callable (plan, channels) -> "
                f"EdgeWeights, got {edges!r}"
            )
        return edges
    name, _, rest = edges.partition(":")
    kind = _kind(name)
    known = _text_fields(kind)
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
            values[key] = float(value) if known[key].type is float else value
        except ValueError as error:
            raise ModelError(f"{key} must be a number, got {value!r}") from error
    return _made(kind, values)


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
            whole = isinstance(value, float) and value == int(value)
            text = int(value) if whole else getattr(value, "__name__", value)
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
    """Returns the kind of edges of a saved network.

    Args:
        text: What ``saved_text`` returned.
        given: The kind, where that is None.

    Raises:
        ModelError: If the kind or a setting is unknown, or none is given.
    """
    if text is None and given is None:
        raise ModelError(
            "this network was made with edges of the caller's own: edges must be "
            "given, got None"
        )
    return edge_settings(given or text or "")


IMPORT = "DDW_GRAPH_IMPORT"
"""The environment variable with modules that name kinds of edges, commas between."""


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


def _made(kind: Any, values: dict[str, Any]) -> Edges:
    """Returns a kind with its settings, or itself if it has none."""
    edges: Any = kind
    if is_dataclass(kind):
        edges = edges(**values)
    return edges  # type: ignore[no-any-return]


def _text_fields(kind: Any) -> dict[str, Field[Any]]:
    """Returns the settings of a kind that a text can name."""
    each = fields(kind) if is_dataclass(kind) else ()
    return {field.name: field for field in each if field.metadata.get("text", True)}
