"""Checks that generators make of their arguments, and the mark that they leave."""

import operator
from typing import SupportsFloat

import networkx as nx

from ddw_graph.wiring import MAX_NODES, WiringError


def integer(name: str, value: object, *, least: int, most: int | None = None) -> int:
    """Returns ``value`` as an ``int`` in ``least..most``.

    Anything that Python takes for an index is an integer, a bool excepted.

    Raises:
        WiringError: If it is no integer or out of range.

    Example:
        >>> integer("m", True, least=1)
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
    if whole < least or (most is not None and whole > most):
        rule = f"at least {least}" if most is None else f"in {least}..{most}"
        raise WiringError(f"{name} must be {rule}, got {name}={whole}")
    return whole


def node_count(n: object) -> int:
    """Returns ``n``, how many nodes compute: 1 to the most that a wiring may have."""
    return integer("n", n, least=1, most=MAX_NODES - 2)


def probability(p: object) -> float:
    """Returns ``p`` as a float in ``[0, 1]``.

    Raises:
        WiringError: If it is no number, NaN, or out of range.
    """
    number = (
        None
        if isinstance(p, (bool, str)) or not isinstance(p, SupportsFloat)
        else float(p)
    )
    if number is None or not 0.0 <= number <= 1.0:
        raise WiringError(f"p must be a number in [0, 1], got p={p!r}")
    return number


def random_seed(seed: object) -> int:
    """Returns ``seed``, an integer of at least 0."""
    return integer("seed", seed, least=0)


def signed(dag: nx.DiGraph, generator: str, **arguments: int | float) -> nx.DiGraph:
    """Returns ``dag`` with its origin written into its graph attributes."""
    dag.graph.update(generator=generator, arguments=arguments, networkx=nx.__version__)
    return dag
