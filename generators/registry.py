"""Generators by name: functions from n to a DAG, registered by a decorator."""

import functools
import importlib
import inspect
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any, ParamSpec, cast

import networkx as nx

from ddw_graph.generators.arguments import integer, node_count, number, text
from ddw_graph.wiring import WiringError, check, computing_nodes

GROUP = "ddw_graph.generators"
"""The group of entry points in which an installed package names its generators."""

P = ParamSpec("P")
Kind = type[int] | type[float] | type[str]

_CHECKS = {int: integer, float: number, str: text}
_KINDS: dict[str, Kind] = {kind.__name__: kind for kind in _CHECKS}
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
        kinds = argument_kinds(function)
        signature = inspect.signature(function)

        @functools.wraps(function)
        def generator(*args: P.args, **kwargs: P.kwargs) -> nx.DiGraph:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            for key, value in bound.arguments.items():
                bound.arguments[key] = _checked(key, value, kinds[key])
            made = cast(Callable[..., nx.Graph], function)(*bound.args, **bound.kwargs)
            dag = _checked_result(name, made, bound.arguments["n"])
            origin = wiring_text(name, bound.arguments)
            dag.graph.update(wiring=origin, networkx=nx.__version__)
            return dag

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
        _REGISTERED[name] = generator
        return generator

    return registered


def argument_kinds(function: Callable[..., object]) -> dict[str, Kind]:
    """Returns the type of each argument of a generator, read from its signature.

    Raises:
        WiringError: If the first is not ``n``, or one is not annotated as int, float or
            str and has no default of these types.

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
        # The name alone: where annotations are postponed, they are texts.
        annotation = parameter.annotation
        known = _KINDS.get(getattr(annotation, "__name__", annotation))
        if known is None and annotation is parameter.empty:
            known = int if key in ("n", "seed") else type(parameter.default)
        if known not in _CHECKS or parameter.kind not in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        ):
            raise WiringError(
                "a generator's arguments must be annotated as int, float or str, got "
                f"{parameter} of {_place(function)}"
            )
        kinds[key] = known
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
    if name not in _REGISTERED:
        for entry in entry_points(group=GROUP, name=name):
            _register_imported(name, entry.load)
    if name in _REGISTERED:
        return _REGISTERED[name]
    known = sorted({*_REGISTERED, *entry_points(group=GROUP).names})
    hint = ""
    if "." in name:
        hint = (
            "; a function of your own is imported where the command line names it, "
            f"and else must be registered or an entry point of the group {GROUP}"
        )
    raise WiringError(
        f"the generator must be {', '.join(known)} or file:PATH, got {name!r}{hint}"
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


def _checked(key: str, value: object, kind: Kind) -> int | float | str:
    if key == "n":
        return node_count(value)
    if key == "seed":
        return integer(key, value, least=0)
    return cast(int | float | str, _CHECKS[kind](key, value))


def _checked_result(name: str, made: Any, n: int) -> nx.DiGraph:
    try:
        dag = check(made)
        found = len(computing_nodes(dag))
        if found != n:
            raise WiringError(f"it must have n={n} computing nodes, got {found}")
    except WiringError as error:
        raise WiringError(f"the generator {name} returns no wiring: {error}") from error
    return dag


def _place(function: Callable[..., object]) -> str:
    name = getattr(function, "__qualname__", type(function).__qualname__)
    return f"{function.__module__}.{name}"
