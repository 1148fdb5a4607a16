"""Checks of generators' arguments."""

import math
import operator
from typing import SupportsFloat

from ddw_graph.wiring import MAX_EDGES, MAX_NODES, WiringError


def integer(name: str, value: object, *, least: int | None = None) -> int:
    """Returns ``value`` as an ``int``, at least ``least``.

    Anything that Python takes for an index is an integer, except a bool.

    Raises:
        WiringError: If it is no integer, or less.

    Example:
        >>> integer("m", True)
        Traceback (most recent call last):
        ddw_graph.errors.WiringError: m must be an integer, got m=True
    """
    try:
        # A NumPy bool has no index, a Python bool has one: it is an int by descent.
        whole = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        whole = None
    if whole is None or isinstance(value, bool):
        raise WiringError(f"{name} must be an integer, got {name}={value!r}")
    if least is not None and whole < least:
        raise WiringError(f"{name} must be at least {least}, got {name}={whole}")
    return whole


def number(name: str, value: object) -> float:
    """Returns ``value`` as a finite float.

    Raises:
        WiringError: If it is none.
    """
    real = isinstance(value, SupportsFloat) and not isinstance(value, bool | str)
    found = float(value) if real else math.nan  # type: ignore[arg-type]
    if not math.isfinite(found):
        raise WiringError(f"{name} must be a finite number, got {name}={value!r}")
    return found


def text(name: str, value: object) -> str:
    """Returns ``value``, which must be a text."""
    if not isinstance(value, str):
        raise WiringError(f"{name} must be a text, got {name}={value!r}")
    return value


def node_count(n: object) -> int:
    """Returns ``n``, how many nodes compute: 1 to the most that a wiring may have."""
    whole = integer("n", n)
    if not 1 <= whole <= MAX_NODES - 2:
        raise WiringError(f"n must be in 1..{MAX_NODES - 2}, got n={whole}")
    return whole


def check_edges(count: float, **arguments: float) -> None:
    """Checks, before a wiring is built, that it will not have too many edges.

    Raises:
        WiringError: If it would.
    """
    if count > MAX_EDGES:
        given = ", ".join(f"{key}={value}" for key, value in arguments.items())
        raise WiringError(
            f"a wiring must have at most {MAX_EDGES:,} edges, got about {count:,.0f} "
            f"with {given}; take a smaller n"
        )
