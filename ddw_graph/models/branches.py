"""A residual block split into its branch, its shortcut, and what follows the sum."""

import copy
import operator
from collections import OrderedDict
from dataclasses import dataclass

import torch
from torch import fx, nn

from ddw_graph.errors import ModelError
from ddw_graph.models.tracing import between, output_of, steps_before, trace

ADDITIONS = (operator.add, operator.iadd, torch.add, "add", "add_")
"""Functions that add, and methods of tensors by their names."""


@dataclass(frozen=True)
class BlockParts:
    """The parts of a block; the modules are the block's own.

    Args:
        branch: What the block adds to its shortcut.
        has_shortcut: Whether there is a shortcut.
        projection: What the shortcut computes; None for the unchanged input.
        activation: What follows the addition; None for nothing.
    """

    branch: nn.Module
    has_shortcut: bool
    projection: nn.Module | None
    activation: nn.Module | None


def split_block(block: nn.Module) -> BlockParts:
    """Returns the parts of a block; one without an addition is all branch.

    Raises:
        ModelError: If ``torch.fx`` cannot trace the block, or its last addition does
            not add a branch to a shortcut.

    Example:
        >>> from torchvision.models.resnet import BasicBlock
        >>> parts = split_block(BasicBlock(8, 8))
        >>> parts.has_shortcut, parts.projection, parts.activation
        (True, None, ReLU(inplace=True))
    """
    graph = trace(block)
    x = next(iter(graph.nodes))
    result = output_of(graph)
    total = next((node for node in reversed(graph.nodes) if _adds(node)), None)
    if total is None:
        if isinstance(block, nn.Sequential):
            return BlockParts(block, False, None, None)
        whole = _ending_in_module(block, graph, x, result)
        return BlockParts(whole or block, False, None, None)
    shortcut, last = sorted(total.all_input_nodes, key=lambda n: len(steps_before(n)))
    try:
        activation = _ending_in_module(block, graph, total, result)
        branch = _ending_in_module(block, graph, x, last)
        projection = between(block, graph, x, shortcut)
    except LookupError as error:
        raise _no_residual(block) from error
    if branch is None or (projection is not None and shortcut in steps_before(last)):
        raise _no_residual(block)
    if projection is not None:
        terminals = ("placeholder", "output")
        steps = [n for n in projection.graph.nodes if n.op not in terminals]
        if all(_is_identity(projection, step) for step in steps):
            projection = None
        elif not {*projection.parameters()}.isdisjoint(branch.parameters()):
            # The two are trained apart from here on.
            projection = copy.deepcopy(projection)
    return BlockParts(branch, True, projection, activation)


def _ending_in_module(
    block: nn.Module, graph: fx.Graph, entering: fx.Node, leaving: fx.Node
) -> nn.Module | None:
    """Returns the module that maps one value to another, its last module by itself.

    A stage can then fuse a normalisation at the end with the sum that follows.

    Raises:
        LookupError: If ``leaving`` depends on other values than ``entering``.
    """
    inputs = leaving.all_input_nodes
    if leaving is entering or leaving.op != "call_module" or len(inputs) != 1:
        return between(block, graph, entering, leaving)
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


def _is_identity(module: nn.Module, step: fx.Node) -> bool:
    """Returns whether a step of a trace calls a module that does nothing."""
    calls = step.op == "call_module"
    return calls and isinstance(module.get_submodule(str(step.target)), nn.Identity)


def _no_residual(block: nn.Module) -> ModelError:
    return ModelError(
        "a block to split has one input and adds a branch to a shortcut once, got a "
        f"{type(block).__name__} that does not"
    )
