"""Tracing with ``torch.fx``: the graph of a forward, and pieces of it as modules."""

import copy
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from torch import fx, nn
from torch.fx.node import map_aggregate, map_arg

from ddw_graph.errors import ModelError

Settings = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a call."""


@dataclass(frozen=True)
class Input:
    """Stands for a tensor among the arguments of a step.

    Args:
        place: Which of the step's inputs.
    """

    place: int


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode within, and restores every module's mode."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def trace(model: nn.Module, opened: Collection[str] = ("",)) -> fx.Graph:
    """Returns the graph of a forward in which the modules of some paths are opened.

    Tracing freezes the mode: arguments that a step has only in training (dropout's
    ``training=True``, say) are kept with it, so that ``between`` restores them.

    Raises:
        ModelError: If ``torch.fx`` cannot trace the module, or it takes other steps in
            training than in evaluation.
    """
    with evaluating(model):
        graph = _frozen_trace(model, opened)
        model.train()
        training = _frozen_trace(model, opened)
    for node, other in zip_longest(graph.nodes, training.nodes):
        same = node is not None and other is not None
        if not same or (node.op, node.target) != (other.op, other.target):
            raise ModelError(
                "a network to rewire must take the same steps in training and "
                f"evaluation, got a {type(model).__name__} that does not"
            )
        settings, others = (_settings(each) for each in (node, other))
        if settings != others and node.op == "call_function":
            node.meta[FollowsMode] = FollowsMode(node.target, settings, others)
    return graph


def _frozen_trace(model: nn.Module, opened: Collection[str]) -> fx.Graph:
    """Returns the graph of a forward in the model's mode."""

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name not in opened

    try:
        return Tracer().trace(model)
    except Exception as error:  # whatever a forward raises
        raise ModelError(
            f"a network to rewire must be one that torch.fx can trace, got a "
            f"{type(model).__name__}: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error


def between(
    model: nn.Module, graph: fx.Graph, entering: fx.Node, leaving: fx.Node
) -> fx.GraphModule | None:
    """Returns the module that maps one value of a trace to another; None for itself.

    Its modules are those of ``model``, under the same names.

    Raises:
        LookupError: If ``leaving`` depends on other values than ``entering``.
    """
    if leaving is entering:
        return None
    needed: set[fx.Node] = set()
    pending = [leaving]
    while pending:
        node = pending.pop()
        if node is entering or node in needed:
            continue
        if node.op == "placeholder":
            raise LookupError(node.name)
        needed.add(node)
        pending += node.all_input_nodes
    piece = fx.Graph()
    copies = {entering: piece.placeholder("x")}
    for node in graph.nodes:
        if node in needed:
            copies[node] = piece.node_copy(node, copies.__getitem__)
    piece.output(copies[leaving])
    module = fx.GraphModule(model, piece)
    follow_mode(module)
    return module


class FollowsMode(nn.Module):
    """Calls a function with other settings in training than in evaluation.

    Args:
        function: The function.
        evaluation: Its positional and keyword arguments; an ``Input`` for a tensor.
        training: The same in training.
    """

    def __init__(
        self, function: Callable[..., Any], evaluation: Settings, training: Settings
    ) -> None:
        super().__init__()
        self.function = function
        self.settings = {False: evaluation, True: training}

    def forward(self, *tensors: Any) -> Any:
        """Returns the function's result for the tensors, in the order of inputs."""
        args, kwargs = map_aggregate(
            self.settings[self.training],
            lambda a: tensors[a.place] if isinstance(a, Input) else a,
        )
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """Returns the function and its settings."""
        evaluation, training = self.settings[False], self.settings[True]
        return f"{self.function.__name__}, {evaluation}, training={training}"


def _settings(node: fx.Node) -> Settings:
    """Returns the arguments of a step, with its inputs by their places."""
    inputs = node.all_input_nodes

    def place(each: fx.Node) -> Any:
        return Input(inputs.index(each))

    settings: Any = map_arg((node.args, node.kwargs), place)
    args, kwargs = settings
    return args, kwargs


def follow_mode(module: fx.GraphModule) -> None:
    """Makes steps follow the module's mode, which tracing froze in evaluation."""
    for node in list(module.graph.nodes):
        if FollowsMode not in node.meta:
            continue
        follows = copy.deepcopy(node.meta[FollowsMode]).train(module.training)
        module.add_submodule(node.name, follows)
        with module.graph.inserting_after(node):
            new = module.graph.call_module(node.name, tuple(node.all_input_nodes))
        node.replace_all_uses_with(new)
        module.graph.erase_node(node)
    module.recompile()


def output_of(graph: fx.Graph) -> fx.Node:
    """Returns the value that a traced module returns."""
    (value,) = (node.args[0] for node in graph.nodes if node.op == "output")
    assert isinstance(value, fx.Node)
    return value
