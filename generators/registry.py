"""Generators by name: functions from n to a DAG, registered by a decorator."""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, ParamSpec

import networkx as nx

from ddw_graph.generators.arguments import integer, node_count, number, text
from ddw_graph.wiring import WiringError, check, computing_nodes

GROUP = "ddw_graph.generators"
"""The group of entry points in which an installed package names its generators."""

P = ParamSpec("P")
Kind = type[int] | type[float] | type[str]

_CHECKS: dict[Kind, Callable[[str, object], Any]] = {
    int: integer,
    float: number,
    str: text,
}
_REGISTERED: dict[str, Callable[..., nx.DiGraph]] = {}

GENERATORS: Mapping[str, Callable[..., nx.DiGraph]] = MappingProxyType(_REGISTERED)
"""The registered function of each name."""


def register(
    name: str,
) -> Callable[[Callable[P, nx.Graph]], Callable[P, nx.DiGraph]]:
    """Registers a function from n to a DAG under a name; a decorator.

    The signature names the arguments: ``n``, the number of computing nodes, comes
    first, ``seed`` is that of a random graph, and any other is annotated as ``int``,
    ``float`` or ``str``. The decorated function checks their types, and that the
    result is a wiring with ``n`` computing nodes, and sets its graph attribute
    ``wiring``.

    Raises:
        WiringError: If the name is taken or no identifier, or the signature is another.

    Example:
        >>> @register("ladder")
        ... def ladder(n: int, step: int = 2) -> nx.DiGraph:
        ...     dag = nx.path_graph(n + 2, create_using=nx.DiGraph)
        ...     dag.add_edges_from((i, i + step) for i in range(0, n + 2 - step, step))
        ...     return dag
        >>> ladder(3).graph["wiring"]
        'ladder:n=3,step=2'
        >>> ladder(3, step=2.5)
        Traceback (most recent call last):
        ddw_graph.errors.WiringError: step must be an integer, got step=2.5
    """

    def registered(function: Callable[P, nx.Graph]) -> Callable[P, nx.DiGraph]:
        checks = {key: _CHECKS[kind] for key, kind in argument_kinds(function).items()}
        checks["n"] = lambda _, n: node_count(n)
        checks["seed"] = functools.partial(integer, least=0)
        taken = _place(_REGISTERED.get(name, function))
        # A module that is reloaded, or a notebook's cell that runs again, is no clash.
        if taken != _place(function):
            raise WiringError(
                f"a generator's name must be free, got {name!r}, which is {taken}"
            )
        if not all(part.isidentifier() for part in name.split(".")) or name == "file":
            raise WiringError(
                f"a generator's name must be letters, digits and _, got {name!r}"
            )

        @functools.wraps(function)
        def generator(*args: P.args, **kwargs: P.kwargs) -> nx.DiGraph:
            bound = inspect.signature(function).bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            given.update((key, checks[key](key, given[key])) for key in given)
            made: Any = function(*bound.args, **bound.kwargs)
            try:
                dag = check(made)
                found = len(computing_nodes(dag))
                if found != given["n"]:
                    raise WiringError(f"n must be {given['n']}, got n={found}")
            except WiringError as error:
                raise WiringError(
                    f"the generator {name} must return a wiring: {error}"
                ) from error
            dag.graph.update(wiring=wiring_text(name, given), networkx=nx.__version__)
            return dag

        _REGISTERED[name] = generator
        return generator

    return registered


def argument_kinds(function: Callable[..., object]) -> dict[str, Kind]:
    """Returns the type of each argument of a generator, read from its signature.

    Raises:
        WiringError: If the first is not ``n``, or one is neither annotated as int,
            float or str nor has a default of these types.

    Example:
        >>> argument_kinds(GENERATORS["er"])
        {'n': <class 'int'>, 'p': <class 'float'>, 'seed': <class 'int'>}
    """
    parameters = inspect.signature(function).parameters
    if next(iter(parameters), None) != "n":
        raise WiringError(
            "a generator's first argument must be n, the number of computing nodes, "
            f"got {_place(function)}({', '.join(parameters)})"
        )
    kinds: dict[str, Kind] = {}
    for key, parameter in parameters.items():
        # By name, since postponed annotations are texts.
        annotation = parameter.annotation
        if annotation is parameter.empty:
            annotation = int if key in ("n", "seed") else type(parameter.default)
        name = getattr(annotation, "__name__", annotation)
        known = [kind for kind in _CHECKS if kind.__name__ == name]
        if not known or parameter.kind in (
            parameter.VAR_POSITIONAL,
            parameter.VAR_KEYWORD,
        ):
            raise WiringError(
                "a generator's arguments must be annotated as int, float or str, got "
                f"{parameter} of {_place(function)}"
            )
        kinds[key] = known[0]
    return kinds


def wiring_text(name: str, arguments: Mapping[str, object]) -> str:
    """Returns the text of a generator and its arguments.

    Example:
        >>> wiring_text("ws", {"k": 4, "p": 0.75})
        'ws:k=4,p=0.75'
    """
    pairs = ",".join(f"{key}={value}" for key, value in arguments.items())
    return f"{name}:{pairs}" if pairs else name


def generator_named(name: str) -> Callable[..., nx.DiGraph]:
    """Returns a generator by its name: a registered one, or an entry point's.

    No other module is imported, since names come from files too.

    Raises:
        WiringError: If there is none, or its module cannot be imported.
    """
    if name in _REGISTERED:
        return _REGISTERED[name]
    entries = entry_points(group=GROUP)
    if name in entries.names:
        _register_imported(name, entries[name].load)
        return _REGISTERED[name]
    known = ", ".join(sorted({*_REGISTERED, *entries.names}))
    own = (
        "; a function of your own is imported where the command line names it, and "
        f"else must be registered or an entry point of the group {GROUP}"
    )
    raise WiringError(
        f"the generator must be {known} or file:PATH, got {name!r}{own * ('.' in name)}"
    )


def import_generator(name: str) -> None:
    """Imports and registers a function by its module and its own name.

    Only for names that the user gives on the command line: importing runs the module.
    The current folder is searched last.

    Args:
        name: Such as ``mypackage.wirings.small_world``.

    Raises:
        WiringError: If there is no such function, or it is no generator.
    """
    module, _, function = name.rpartition(".")
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    _register_imported(name, lambda: getattr(importlib.import_module(module), function))


def _register_imported(name: str, load: Callable[[], Any]) -> None:
    try:
        function = load()
    except (ImportError, AttributeError) as error:
        raise WiringError(
            f"the generator {name} must be importable: {error}"
        ) from error
    if not callable(function):
        raise WiringError(f"the generator {name} must be a function, got {function!r}")
    # Importing may have registered it already.
    if name not in _REGISTERED:
        register(name)(function)


def _place(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"
