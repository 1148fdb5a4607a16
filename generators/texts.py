"""Texts that name a wiring.

A text is a generator's name and, after a colon, its arguments: ``complete``,
``ws:k=4,p=0.75``, ``ba:n=16,m=5``; or it names a file: ``file:PATH``.
"""

import inspect
import re
from typing import Any

import networkx as nx

from ddw_graph.generators.registry import (
    Kind,
    argument_kinds,
    generator_named,
    wiring_text,
)
from ddw_graph.wiring import WiringError, computing_nodes, load

_FILE = "file:"


def from_text(text: str, *, n: int | None, seed: int) -> nx.DiGraph:
    """Returns the wiring that a text names.

    Args:
        text: A generator such as ``"ws:k=4,p=0.75"``, or ``"file:PATH"``.
        n: Number of computing nodes; None if the text or the file gives it.
        seed: Seed of a random generator; nothing else depends on it.

    Raises:
        WiringError: If the text cannot be understood, an argument is out of range, or
            ``n`` is missing or differs from the text's or the file's.

    Example:
        >>> from_text("ws:k=4,p=0.75", n=8, seed=0).number_of_nodes()
        10
    """
    if text.startswith(_FILE):
        dag = load(text.removeprefix(_FILE))
        _check_same(n, len(computing_nodes(dag)), text)
        return dag
    name, arguments = _parsed(text)
    found = arguments.setdefault("n", n)
    if found is None:
        raise WiringError(f"{text} needs n, the number of computing nodes: add n=...")
    _check_same(n, found, text)
    generator = generator_named(name)
    if "seed" in argument_kinds(generator):
        arguments["seed"] = seed
    return generator(**arguments)


def plain_text(text: str) -> str:
    """Returns a text as every way to write it is written; that of a file unchanged.

    Raises:
        WiringError: If the text names no generator or its arguments do not fit.

    Example:
        >>> plain_text(" ws : p = .75, k = 4 ")
        'ws:k=4,p=0.75'
    """
    return text if text.startswith(_FILE) else wiring_text(*_parsed(text))


def has_n(text: str) -> bool:
    """Returns whether a text gives the number of computing nodes itself.

    Example:
        >>> has_n("ws:n=16,k=4,p=0.75"), has_n("complete")
        (True, False)
    """
    return text.startswith(_FILE) or "n" in _parsed(text)[1]


def text_kinds(name: str) -> dict[str, Kind]:
    """Returns the type of each argument that a text may give a generator.

    Raises:
        WiringError: If there is no generator of that name.

    Example:
        >>> text_kinds("er")
        {'n': <class 'int'>, 'p': <class 'float'>}
    """
    kinds = argument_kinds(generator_named(name))
    kinds.pop("seed", None)
    return kinds


def _parsed(text: str) -> tuple[str, dict[str, Any]]:
    """Returns the name and the arguments of a text, in the generator's order."""
    name, _, rest = (piece.strip() for piece in text.partition(":"))
    given: dict[str, str] = {}
    for part in rest.split(",") if rest else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise WiringError(
                "arguments must be key=value with commas between, and a function of "
                f"your own MODULE.FUNCTION, got {part!r} in {text!r}"
            )
        if key in given:
            raise WiringError(f"{key} must be given once, got {text!r}")
        if key == "seed":
            raise WiringError(
                f"seed must not be in a text, got {text!r}; give it beside the text"
            )
        given[key] = value
    kinds = text_kinds(name)
    for key in given.keys() - kinds.keys():
        raise WiringError(f"{name} takes {' and '.join(kinds)}, got {key}")
    parameters = inspect.signature(generator_named(name)).parameters
    needed = [
        k
        for k in kinds
        if k != "n" and parameters[k].default is inspect.Parameter.empty
    ]
    if not given.keys() >= {*needed}:
        form = wiring_text(name, dict.fromkeys(needed, "..."))
        raise WiringError(
            f"{name} needs {' and '.join(needed)}, as in {form}, got {text!r}"
        )
    return name, {
        key: _value(key, given[key], kinds[key], text) for key in kinds if key in given
    }


def _check_same(n: int | None, found: int, text: str) -> None:
    if n not in (None, found):
        raise WiringError(f"n must be {found}, that of {text}, got n={n}")


def _value(key: str, value: str, kind: Kind, text: str) -> int | float | str:
    # Not all that Python reads: int("4_0") is 40, and long digits take long.
    if kind is int and not re.fullmatch(r"[+-]?[0-9]{1,20}", value):
        raise WiringError(f"{key} must be an integer, got {key}={value} in {text!r}")
    try:
        return kind(value)
    except ValueError as error:
        raise WiringError(
            f"{key} must be a number, got {key}={value} in {text!r}"
        ) from error
