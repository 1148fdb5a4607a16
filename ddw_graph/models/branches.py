"""A residual block split into its branches, its shortcut, and what follows the sum."""

import copy
import operator
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from inspect import signature
from typing import Any

import torch
from torch import Tensor, fx, nn

from ddw_graph.errors import ModelError
from ddw_graph.models.tracing import (
    argument_name,
    between,
    output_of,
    steps_before,
    trace,
)
from ddw_graph.nn.host_network import Run

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
"""Functions that add, and methods of tensors by their names."""


@dataclass(frozen=True)
class BlockParts:
    """A branch of a block with its surroundings; the modules are the block's own.

    Args:
        has_shortcut: Whether there is a shortcut.
        projection: What the shortcut computes; None for the unchanged input.
        activation: What follows the addition; None for nothing.
    """

    branch: nn.Module
    has_shortcut: bool
    projection: nn.Module | None
    activation: nn.Module | None


def split_block(block: nn.Module, run: Run | None = None) -> list[BlockParts]:
    """Returns the parts of a block, one for each of its branches in their order.

    A block without an addition is all branch; one of a Transformer has two branches.

    Args:
        run: What it takes besides its features, and returns.

    Example:
        >>> from torchvision.models.resnet import BasicBlock
        >>> (parts,) = split_block(BasicBlock(8, 8))
        >>> parts.has_shortcut, parts.projection, parts.activation
        (True, None, ReLU(inplace=True))
    """
    if run is not None and run.returns is not None:
        raise _no_residual(block)
    graph, names = _graph(block, run)
    x = next(iter(graph.nodes))
    parts = _split(block, graph, x, output_of(graph), names)
    if run is None or not (run.args or run.kwargs):
        return parts
    if any(part.activation or part.projection for part in parts):
        raise _no_residual(block)
    return [replace(part, branch=Branch(part.branch, names)) for part in parts]


def _graph(block: nn.Module, run: Run | None) -> tuple[fx.Graph, list[str]]:
    """Returns the graph of a block and the names of its arguments behind the first."""
    if run is None:
        return trace(block), []
    nones: dict[int | str, bool] = dict(enumerate(run.args))
    nones.update(run.kwargs.items())
    try:
        every = dict.fromkeys(nones, False)
        return trace(block, arguments=every), [*map(argument_name, every)]
    except ModelError:
        # What was None may choose other steps, such as those of a cross attention.
        given = [argument_name(key) for key, is_none in nones.items() if not is_none]
        return trace(block, arguments=nones), given


def _split(
    block: nn.Module, graph: fx.Graph, x: fx.Node, result: fx.Node, names: Sequence[str]
) -> list[BlockParts]:
    """Returns the parts that map one value of a block to another."""
    steps = steps_before(result, x)
    total = next((n for n in reversed(graph.nodes) if n in steps and _adds(n)), None)
    if total is None:
        if isinstance(block, nn.Sequential):
            return [BlockParts(block, False, None, None)]
        whole = _ending_in_module(block, graph, x, result, names)
        return [BlockParts(whole or block, False, None, None)]
    shortcut, last = sorted(total.all_input_nodes, key=lambda n: len(steps_before(n)))
    try:
        activation = _ending_in_module(block, graph, total, result, names)
        if shortcut is not x and shortcut in steps_before(last):
            earlier = _split(block, graph, x, shortcut, names)
            x, projection = shortcut, None
        else:
            earlier = []
            projection = between(block, graph, x, shortcut)
        branch = _ending_in_module(block, graph, x, last, names)
    except LookupError as error:
        raise _no_residual(block) from error
    if branch is None or not all(part.has_shortcut for part in earlier):
        raise _no_residual(block)
    if projection is not None:
        _, *steps_of_it, _ = projection.graph.nodes
        identities = {n for n, m in block.named_modules() if isinstance(m, nn.Identity)}
        if all(n.op == "call_module" and n.target in identities for n in steps_of_it):
            projection = None
        elif not {*projection.parameters()}.isdisjoint(branch.parameters()):
            # The two are trained apart from here on.
            projection = copy.deepcopy(projection)
    return [*earlier, BlockParts(branch, True, projection, activation)]


class Branch(nn.Module):
    """A branch that reads some of the arguments that its block took.

    Args:
        piece: The branch, with a parameter for each argument that it reads.
        names: The arguments that the block may be given, None or not.
    """

    def __init__(self, piece: nn.Module, names: Sequence[str]) -> None:
        super().__init__()
        self.piece, self.names = piece, tuple(names)
        parameters = signature(piece.forward).parameters
        self.read = tuple(name for name in names if name in parameters)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Returns what the branch adds.

        Raises:
            ModelError: If an argument is given that was not when the block was split.
        """
        given = {argument_name(place): each for place, each in enumerate(args)} | kwargs
        for name, each in given.items():
            if each is not None and name not in self.names:
                raise ModelError(
                    "a branch takes the arguments that its block had when it was "
                    f"split, got {name} too; take node='block'"
                )
        y: Tensor = self.piece(x, **{name: given.get(name) for name in self.read})
        return y


def _ending_in_module(
    block: nn.Module,
    graph: fx.Graph,
    entering: fx.Node,
    leaving: fx.Node,
    names: Sequence[str],
) -> nn.Module | None:
    """Returns the module that maps one value to another, its last module by itself.

    A stage can then fuse a normalisation at the end with the sum that follows.
    """
    inputs = leaving.all_input_nodes
    is_last = leaving.op == "call_module" and len(inputs) == 1 and not names
    if leaving is entering or not is_last:
        return between(block, graph, entering, leaving, names)
    before = between(block, graph, entering, inputs[0])
    last = block.get_submodule(str(leaving.target))
    if before is None:
        return last
    return nn.Sequential(OrderedDict(before=before, last=last))


def _adds(node: fx.Node) -> bool:
    """Returns whether a step of a trace adds two values, neither of them scaled."""
    plain = len(node.all_input_nodes) == 2 and not node.kwargs
    calls = node.op in ("call_function", "call_method")
    return calls and node.target in ADDITIONS and plain


def _no_residual(block: nn.Module) -> ModelError:
    return ModelError(
        "a block to split has one input and adds each branch to a shortcut, got a "
        f"{type(block).__name__} that does not"
    )
