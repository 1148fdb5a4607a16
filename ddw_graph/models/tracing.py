"""Tracing with ``torch.fx``: the graph of a forward, and pieces of it as modules."""

from collections.abc import Collection, Mapping
from functools import partial
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

from torch import fx, nn

from ddw_graph.errors import ModelError
from ddw_graph.nn.outputs import evaluating


def trace(
    model: nn.Module,
    opened: Collection[str] = ("",),
    *,
    arguments: Mapping[int | str, bool] = MappingProxyType({}),
) -> fx.Graph:
    """Returns the graph of a forward in which the modules of some paths are opened.

    Its inputs are the features, called ``x``, and some of the arguments.

    It reads ``self.training`` where an argument of a step is the mode, such as that of
    ``functional.dropout``; a plain trace would freeze it.

    Args:
        opened: Names of the modules within that are opened.
        arguments: The arguments behind the features, by place from 0 or name, and
            whether each is None. All others have their defaults.
    """
    with evaluating(model):
        graph = _frozen_trace(model, opened, arguments)
        model.train()
        training = _frozen_trace(model, opened, arguments)
    for node, other in zip_longest([*graph.nodes], training.nodes):
        steps = [each and (each.op, each.target) for each in (node, other)]
        if steps[0] != steps[1] or not _follows_mode(node, other):
            raise ModelError(
                "a network to rewire must take the same steps in training and "
                f"evaluation, got a {type(model).__name__} that does not"
            )
    return graph


def _follows_mode(node: fx.Node, other: fx.Node) -> bool:
    """Makes a step read the mode where an argument is the mode.

    Args:
        node: The step in evaluation.
        other: The step in training.

    Returns:
        Whether all its other arguments are the same in both.
    """
    found, wanted = _arguments(node), _arguments(other)
    differ = [key for key in found if str(found[key]) != str(wanted.get(key))]
    modes = all(found[key] is False and wanted[key] is True for key in differ)
    if found.keys() != wanted.keys() or not modes:
        return False
    for key in differ:
        with node.graph.inserting_before(node):
            mode = node.graph.create_node("get_attr", "training")
        if isinstance(key, int):
            node.update_arg(key, mode)
        else:
            node.update_kwarg(key, mode)
    return True


def _arguments(node: fx.Node) -> dict[Any, Any]:
    return dict(enumerate(node.args)) | node.kwargs


def _frozen_trace(
    model: nn.Module, opened: Collection[str], arguments: Mapping[int | str, bool]
) -> fx.Graph:
    """Returns the graph of a forward in the model's mode."""

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name not in opened

        def create_args_for_root(
            self, root_fn: Any, is_module: bool, concrete_args: Any = None
        ) -> tuple[Any, list[Any]]:
            x, *others = (
                self.create_proxy("placeholder", name, (), {})
                for name in ("x", *map(argument_name, arguments))
            )
            given = {
                key: None if is_none else proxy
                for (key, is_none), proxy in zip(arguments.items(), others, strict=True)
            }
            args = [value for key, value in given.items() if isinstance(key, int)]
            kwargs = {k: value for k, value in given.items() if isinstance(k, str)}
            return partial(root_fn, **kwargs), [self.root, x, *args]

    try:
        return Tracer().trace(model)
    except Exception as error:  # whatever a forward raises
        raise ModelError(
            f"a network to rewire must be one that torch.fx can trace, got a "
            f"{type(model).__name__}: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error


def argument_name(key: int | str) -> str:
    """Returns the name of an argument, given by its place or name, in a trace."""
    return f"args_{key}" if isinstance(key, int) else key


def between(
    model: nn.Module,
    graph: fx.Graph,
    entering: fx.Node,
    leaving: fx.Node,
    arguments: Collection[str] = (),
) -> fx.GraphModule | None:
    """Returns the module that maps one value of a trace to another; None for itself.

    Its modules are those of ``model``, under the same names.

    Args:
        entering: The value that the module takes.
        leaving: The value that it returns.
        arguments: Names of inputs of the trace that it may take by name.
    """
    if leaving is entering:
        return None
    needed = steps_before(leaving, entering)
    for node in needed:
        if node.op == "placeholder" and node.target not in arguments:
            raise LookupError(node.name)
    piece = fx.Graph()
    copies = {entering: piece.placeholder("x")}
    for node in graph.nodes:
        if node in needed:
            copies[node] = piece.node_copy(node, copies.__getitem__)
    piece.output(copies[leaving])
    return fx.GraphModule(model, piece)


def steps_before(node: fx.Node, stop: fx.Node | None = None) -> set[fx.Node]:
    """Returns every step that a value depends on, itself included, behind ``stop``."""
    found: set[fx.Node] = set()
    pending = [node]
    while pending:
        one = pending.pop()
        if one is not stop and one not in found:
            found.add(one)
            pending += one.all_input_nodes
    return found


def output_of(graph: fx.Graph) -> fx.Node:
    """Returns the value that a traced module returns."""
    (value,) = (node.args[0] for node in graph.nodes if node.op == "output")
    assert isinstance(value, fx.Node)
    return value
