"""Any network of stages of blocks, split into a stem, blocks in stages and a head.

One rule serves every family of torchvision and timm: a *block* is the outermost module
that has siblings of its class which keep the shape of an image; a *stage* is a run of
blocks of one width and resolution. What lies between is found by ``torch.fx``.
"""

from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from ddw_graph.errors import ModelError
from ddw_graph.generators import vgg
from ddw_graph.models.parts import Parts, StageParts, kept_shortcut, with_nodes
from ddw_graph.models.tracing import between, output_of, trace
from ddw_graph.nn.outputs import evaluating

PROBES = ((224, 256), (256, 192))
"""Sizes of images that a network is called with, pixels; two of them, so that channels,
which stay the same, differ from height and width."""


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


def split_backbone(model: nn.Module, node: str = "block") -> Parts:
    """Returns the parts of a network that is a chain of stages of blocks.

    Args:
        model: The network; it does not change. The parts' modules are its own.
        node: What a node is; see ``with_nodes``.

    Raises:
        ModelError: If the network has no such blocks, they do not follow each other, or
            they have no such nodes.

    Example:
        >>> from torchvision.models import resnet18
        >>> [len(stage.operations) for stage in split_backbone(resnet18()).stages]
        [2, 2, 2, 2]
    """
    kind = type(model).__name__
    first = next((m for m in model.modules() if isinstance(m, nn.Conv2d)), None)
    if first is None:
        raise ModelError(f"a network to rewire needs 2-D convolutions, got {kind}")
    with evaluating(model):
        blocks, classes = _blocks(model, first.in_channels)
    stem, stages, head = _parts(model, _trace(model, blocks), blocks)
    parts = Parts("block", stem, stages, head, first.in_channels, classes)
    return with_nodes(parts, node)


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
    except Exception as error:  # whatever a network raises
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(
            f"a network to rewire takes images of any size, got a "
            f"{type(model).__name__} that fails at {size[0]}x{size[1]} px: {reason}"
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

    Only the outermost level with blocks counts: blocks within blocks are left whole.
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


def _trace(model: nn.Module, blocks: dict[str, _Call]) -> fx.Graph:
    """Returns the graph of a network in which the modules around blocks are opened."""
    opened = {""}
    for path in blocks:
        names = path.split(".")
        opened |= {".".join(names[:depth]) for depth in range(1, len(names))}
    return trace(model, opened)


def _parts(
    model: nn.Module, graph: fx.Graph, blocks: dict[str, _Call]
) -> tuple[nn.Module, list[StageParts], nn.Module]:
    """Returns stem, stages and head of a traced network."""

    def glue(leaving: fx.Node, to: str) -> fx.GraphModule | None:
        try:
            return between(model, graph, value, leaving)
        except LookupError as error:
            raise ModelError(
                "a network to rewire is a chain of blocks, each of which has one "
                f"input, the block before it, got a {type(model).__name__}, where {to} "
                "has another input too"
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
    head = glue(output_of(graph), "the head")
    stem, entrances[0] = entrances[0], None
    stages = [
        StageParts(
            operations=[call.module for call in run],
            wiring=vgg(len(run)),
            in_channels=run[0].entering[1],
            channels=run[0].leaving[1],
            stride=_stride(run[0]),
            projection=kept_shortcut(run[0].module),
            entrance=entrance,
            exit=None,
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
