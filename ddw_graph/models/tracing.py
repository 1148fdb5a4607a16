"""Any network of stages of blocks, taken apart: a stem, blocks in stages, a head.

One rule serves every family of torchvision and timm: a *block* is the outermost module
that has siblings of its class which keep the shape of an image; a *stage* is a run of
blocks of one width and resolution. What lies between is found by ``torch.fx``.
"""

import copy
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call
from torch.fx.node import map_aggregate, map_arg

from ddw_graph.errors import ModelError

PROBES = ((224, 256), (256, 192))
"""Image sizes that a network is asked about; two, so that channels, which stay the
same, are told from height and width."""

Settings = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of a call."""


@dataclass(frozen=True)
class BlockStage:
    """A stage of a backbone.

    Args:
        entrance: What lies between the stage before and this one, if anything does.
        blocks: The blocks, in order.
        in_channels: Width of the first block's input.
        channels: Width of every block's output.
        stride: Stride of the first block.
    """

    entrance: nn.Module | None
    blocks: Sequence[nn.Module]
    in_channels: int
    channels: int
    stride: int


@dataclass(frozen=True)
class Backbone:
    """A network taken apart; its modules are the network's own.

    Args:
        stem: What lies before the first block.
        stages: The stages.
        head: What lies behind the last block.
        in_channels: Channels of an image.
        num_classes: Number of logits.
    """

    stem: nn.Module
    stages: Sequence[BlockStage]
    head: nn.Module
    in_channels: int
    num_classes: int


@dataclass(frozen=True)
class Input:
    """Stands for a tensor among the arguments of a step.

    Args:
        place: Which of the step's inputs.
    """

    place: int


@dataclass(frozen=True)
class _Call:
    """A call of a module with one image-like tensor that returns another."""

    path: str
    module: nn.Module
    entering: tuple[int, ...]
    leaving: tuple[int, ...]

    @property
    def parent(self) -> str:
        return self.path.rpartition(".")[0]

    @property
    def keeps_shape(self) -> bool:
        return self.entering == self.leaving


def taken_apart(model: nn.Module) -> Backbone:
    """Returns the parts of a network that is a chain of stages of blocks.

    Args:
        model: The network; it is left as it was.

    Raises:
        ModelError: If it has no such blocks, or they do not follow each other.

    Example:
        >>> from torchvision.models import resnet18
        >>> [len(stage.blocks) for stage in taken_apart(resnet18()).stages]
        [2, 2, 2, 2]
    """
    kind = type(model).__name__
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise ModelError(f"a network to rewire needs 2-D convolutions, got {kind}")
    with evaluating(model):
        blocks, classes = _blocks(model, first.in_channels)
    graph = _traced(model, blocks)
    parts = _parts(model, graph, blocks)
    return Backbone(*parts, in_channels=first.in_channels, num_classes=classes)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode for a while, and every module back."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _calls(
    model: nn.Module, in_channels: int, size: tuple[int, int]
) -> tuple[list[_Call], Tensor]:
    """Returns the calls of a forward without data, and the network's output."""
    shadow = {
        name: torch.empty_like(tensor, device="meta")
        for named in (model.named_parameters, model.named_buffers)
        for name, tensor in named(remove_duplicate=False)
    }
    paths = {module: path for path, module in model.named_modules()}
    calls = []

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if len(inputs) != 1 or not isinstance(output, Tensor):
            return
        entering = inputs[0]
        if isinstance(entering, Tensor) and entering.ndim == output.ndim == 4:
            shapes = tuple(entering.shape), tuple(output.shape)
            calls.append(_Call(paths[module], module, *shapes))

    hooks = [module.register_forward_hook(note) for module in model.modules()]
    dtype = next(model.parameters()).dtype
    image = torch.empty(2, in_channels, *size, device="meta", dtype=dtype)
    try:
        with torch.no_grad():
            output = functional_call(model, shadow, (image,))
    except Exception as error:  # what a network raises is its own affair
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"a network to rewire takes images of any size, got a "
            f"{type(model).__name__} that refuses {size[0]}x{size[1]} px: {reason}"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not isinstance(output, Tensor) or output.ndim != 2:
        raise ModelError(
            "a network to rewire returns logits (batch, classes), got a "
            f"{type(model).__name__} that does not"
        )
    return calls, output


def _blocks(model: nn.Module, in_channels: int) -> tuple[dict[str, _Call], int]:
    """Returns the network's blocks by path, in the order of running, and its classes.

    Only the outermost level with blocks counts: what a block holds is its own affair.
    """
    calls, logits = _calls(model, in_channels, PROBES[0])
    others, _ = _calls(model, in_channels, PROBES[1])
    if [call.path for call in calls] != [other.path for other in others]:
        raise ModelError(
            "a network to rewire takes the same steps for images of any size, got a "
            f"{type(model).__name__}, which does not"
        )
    # Tokens and channels-last features have other dimensions where channels should be.
    images = [
        call
        for call, other in zip(calls, others, strict=True)
        if call.entering[1] == other.entering[1] and call.leaving[1] == other.leaving[1]
    ]
    by_depth: dict[int, set[type[nn.Module]]] = defaultdict(set)
    siblings: dict[str, list[_Call]] = defaultdict(list)
    for call in images:
        if not isinstance(call.module, nn.Sequential | nn.ModuleList):
            siblings[call.parent].append(call)
    for parent, family in siblings.items():
        for one, other in zip(family, family[1:], strict=False):
            same = type(one.module) is type(other.module)
            follows = one.leaving == other.entering and other.keeps_shape
            if same and follows and _computes(other.module):
                by_depth[_depth(parent)].add(type(other.module))
    if not by_depth:
        raise ModelError(
            "a network to rewire has stages of blocks: modules of one class, each "
            f"with two convolutions or more, that follow each other and keep the shape "
            f"of an image; got a {type(model).__name__}, which has none"
        )
    classes = by_depth[min(by_depth)]
    found = {call.path: call for call in images if type(call.module) in classes}
    inside = {p for p in found if any(p.startswith(f"{q}.") for q in found)}
    blocks = {path: call for path, call in found.items() if path not in inside}
    return blocks, logits.shape[1]


def _depth(path: str) -> int:
    return path.count(".") + 1 if path else 0


def _computes(module: nn.Module) -> bool:
    """Returns whether a module holds two weight matrices or more."""
    return sum(parameter.ndim > 1 for parameter in module.parameters()) > 1


def _traced(model: nn.Module, blocks: dict[str, _Call]) -> fx.Graph:
    """Returns the graph of a network in which only what holds blocks is opened."""
    opened = {""}
    for path in blocks:
        names = path.split(".")
        opened |= {".".join(names[:depth]) for depth in range(1, len(names))}
    return traced(model, opened)


def traced(model: nn.Module, opened: Collection[str] = ("",)) -> fx.Graph:
    """Returns the graph of a forward in which the modules of some paths are opened.

    Tracing freezes the mode: what a step is given in training alone (dropout's
    ``training=True``, say) is noted with it, for ``between`` to make it follow again.

    Raises:
        ModelError: If ``torch.fx`` cannot trace it, or it takes other steps in training
            than in evaluation.
    """
    with evaluating(model):
        graph = _trace(model, opened)
        model.train()
        training = _trace(model, opened)
    for node, other in zip_longest(graph.nodes, training.nodes):
        same = node is not None and other is not None
        if not same or (node.op, node.target) != (other.op, other.target):
            raise ModelError(
                "what is rewired must take the same steps in training and evaluation, "
                f"got a {type(model).__name__}, which does not"
            )
        settings, others = (_settings(each) for each in (node, other))
        if settings != others and node.op == "call_function":
            node.meta[FollowsMode] = FollowsMode(node.target, settings, others)
    return graph


def _trace(model: nn.Module, opened: Collection[str]) -> fx.Graph:
    """Returns the graph of a forward in the model's mode."""

    class Tracer(fx.Tracer):
        def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
            return module_qualified_name not in opened

    try:
        return Tracer().trace(model)
    except Exception as error:  # whatever a forward does with what is no tensor
        raise ModelError(
            f"what is rewired must be something that torch.fx can trace, got a "
            f"{type(model).__name__}: "
            f"{(str(error) or type(error).__name__).splitlines()[0]}"
        ) from error


def between(
    model: nn.Module, graph: fx.Graph, entering: fx.Node, leaving: fx.Node
) -> fx.GraphModule | None:
    """Returns what maps one value of a traced module to another; None if nothing does.

    Its modules are those of ``model``, under the same names.

    Raises:
        LookupError: If ``leaving`` depends on more than ``entering`` tells.
    """
    if leaving is entering:
        return None
    needed: set[fx.Node] = set()
    asked = [leaving]
    while asked:
        node = asked.pop()
        if node is entering or node in needed:
            continue
        if node.op == "placeholder":
            raise LookupError(node.name)
        needed.add(node)
        asked += node.all_input_nodes
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
        """Returns what the function does of the tensors, in the order of inputs."""
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
    """Makes steps follow the module's mode: tracing has frozen them in evaluation."""
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


def returned(graph: fx.Graph) -> fx.Node:
    """Returns the value that a traced module returns."""
    (value,) = (node.args[0] for node in graph.nodes if node.op == "output")
    assert isinstance(value, fx.Node)
    return value


def _parts(
    model: nn.Module, graph: fx.Graph, blocks: dict[str, _Call]
) -> tuple[nn.Module, list[BlockStage], nn.Module]:
    """Returns stem, stages and head of a traced network."""

    def glue(leaving: fx.Node, to: str) -> fx.GraphModule | None:
        try:
            return between(model, graph, value, leaving)
        except LookupError as error:
            raise ModelError(
                "a network to rewire is a chain of blocks, each fed by what comes "
                f"before it alone, got a {type(model).__name__}, where {to} hears "
                "something else too"
            ) from error

    value = next(iter(graph.nodes))
    entrances: list[nn.Module | None] = []
    runs: list[list[_Call]] = []
    for node in graph.nodes:
        if node.op != "call_module" or node.target not in blocks:
            continue
        call = blocks[str(node.target)]
        (entering,) = node.all_input_nodes
        entrance = glue(entering, call.path)
        last = runs[-1][-1] if runs else call
        if not runs or entrance or call.parent != last.parent or not call.keeps_shape:
            entrances.append(entrance)
            runs.append([])
        runs[-1].append(call)
        value = node
    head = glue(returned(graph), "the head")
    stem, entrances[0] = entrances[0], None
    stages = [
        BlockStage(
            entrance,
            [call.module for call in run],
            run[0].entering[1],
            run[0].leaving[1],
            _stride(run[0]),
        )
        for entrance, run in zip(entrances, runs, strict=True)
    ]
    return stem or nn.Identity(), stages, head or nn.Identity()


def _stride(call: _Call) -> int:
    """Returns the stride of a block."""
    before, after = call.entering[2:], call.leaving[2:]
    stride = -(-before[0] // after[0])
    if any(-(-b // stride) != a for b, a in zip(before, after, strict=True)):
        raise ModelError(
            "a block keeps the resolution or divides it by a whole number, got "
            f"{call.path}, which maps {before} to {after}"
        )
    return stride
