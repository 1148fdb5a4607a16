"""Texts that name a wiring.

A text is a generator's name and, after a colon, its arguments: ``complete``,
``ws:k=4,p=0.75``, ``ba:n=16,m=5``; or it names a file: ``file:PATH``.
"""

import inspect
import re
from collections.abc import Mapping
from dataclasses import dataclass

import networkx as nx

from ddw_graph.generators.registry import (
    Kind,
    argument_kinds,
    generator_named,
    wiring_text,
)
from ddw_graph.wiring import WiringError, computing_nodes, load

_FILE = "file:"


@dataclass(frozen=True)
class GeneratorCall:
    """A generator's name and arguments, taken from a text and known to fit each other.

    Args:
        name: The name of a generator.
        arguments: Its arguments without ``n`` and ``seed``, in its own order.
        n: Number of computing nodes if the text gives it.
    """

    name: str
    arguments: Mapping[str, int | float | str]
    n: int | None = None

    def __str__(self) -> str:
        n = {} if self.n is None else {"n": self.n}
        return wiring_text(self.name, {**n, **self.arguments})

    def __call__(self, *, n: int | None, seed: int) -> nx.DiGraph:
        """Returns the wiring with ``n`` nodes; only random ones depend on ``seed``."""
        if n is None:
            n = self.n
        elif self.n is not None and self.n != n:
            raise WiringError(f"n must be that of {self}, got n={n}")
        if n is None:
            raise WiringError(
                f"{self} needs n, the number of computing nodes: write n=... in it"
            )
        function = generator_named(self.name)
        seeds = {"seed": seed} if "seed" in argument_kinds(function) else {}
        return function(n, **self.arguments, **seeds)


def parse(text: str) -> GeneratorCall:
    """Returns the call that a text such as ``"ws:k=4,p=0.75"`` gives.

    Raises:
        WiringError: If the text names no generator or its arguments do not fit.

    Example:
        >>> parse("ws:n=16,k=4,p=0.75").n
        16
    """
    name, _, rest = text.strip().partition(":")
    name = name.strip()
    given = _pairs(rest, text)
    kinds = text_kinds(name)
    parameters = inspect.signature(generator_named(name)).parameters
    values = {}
    for key, value in given.items():
        if key not in kinds:
            *others, last = kinds
            taken = f"{', '.join(others)} and {last}" if others else last
            raise WiringError(f"{name} takes {taken}, got {key}")
        values[key] = _value(key, value, kinds[key], text)
    n = values.pop("n", None)
    needed = [
        key
        for key in kinds
        if key != "n" and parameters[key].default is inspect.Parameter.empty
    ]
    if not values.keys() >= {*needed}:
        form = wiring_text(name, dict.fromkeys(needed, "..."))
        raise WiringError(
            f"{name} needs {' and '.join(needed)}, as in {form}, got {text!r}"
        )
    ordered = {key: values[key] for key in kinds if key in values}
    return GeneratorCall(name, ordered, None if n is None else int(n))


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
    if not text.startswith(_FILE):
        return parse(text)(n=n, seed=seed)
    path = text.removeprefix(_FILE)
    dag = load(path)
    found = len(computing_nodes(dag))
    if n is not None and n != found:
        raise WiringError(f"n must be {found}, that of {path}, got n={n}")
    return dag


def has_n(text: str) -> bool:
    """Returns whether a text gives the number of computing nodes itself.

    Example:
        >>> has_n("ws:n=16,k=4,p=0.75"), has_n("complete")
        (True, False)
    """
    return text.startswith(_FILE) or parse(text).n is not None


def _pairs(rest: str, text: str) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for part in rest.split(",") if rest.strip() else ():
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not (key and equals and value):
            raise WiringError(
                "arguments must be key=value with commas between, and a function of "
                f"your own MODULE.FUNCTION, got {part!r} in {text!r}"
            )
        if key in pairs:
            raise WiringError(f"{key} must be given once, got {text!r}")
        if key == "seed":
            raise WiringError(
                f"seed must not be in a text, got {text!r}; give it beside the text"
            )
        pairs[key] = value
    return pairs


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
