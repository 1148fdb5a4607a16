"""Operations: what a node computes after it has aggregated its inputs."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn
from torch.nn.functional import conv2d

from ddw_graph.errors import ModelError
from ddw_graph.nn.arguments import check_one_of
from ddw_graph.nn.plan import StagePlan

Operation = Callable[[int, int, int], nn.Module]
"""Makes a node's module from ``(in_channels, out_channels, stride)``."""

OperationLike: TypeAlias = (
    str
    | Operation
    | Sequence[str | Operation | nn.Module]
    | Callable[[int], str | Operation | nn.Module]
)
"""One operation for all nodes, a list, or a function of the node."""

NARROW = 8
"""Input channels below which strided 1x1 convolutions are ``Subsampled``."""


class Subsampled(nn.Conv2d):
    """Convolves the pixels on the grid of its stride, as any 1x1 convolution does.

    With few input channels, innermost in memory, oneDNN's backward pass of the strided
    one writes outside of its memory on some CPUs (AMD Zen, torch 2.14, one thread,
    fewer than 6 channels), and the process dies later.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Returns the convolution of the pixels that count."""
        down, right = self.stride
        return conv2d(input[..., ::down, ::right], self.weight, self.bias)


def conv_bn(
    in_channels: int, out_channels: int, kernel: int, stride: int = 1
) -> list[nn.Module]:
    """Returns a convolution without bias, padded to keep the size, and its BN."""
    narrow = kernel == 1 and stride > 1 and in_channels < NARROW
    kind = Subsampled if narrow else nn.Conv2d
    conv = kind(in_channels, out_channels, kernel, stride, kernel // 2, bias=False)
    return [conv, nn.BatchNorm2d(out_channels)]


def projection_1x1(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Returns a 1x1 convolution and its BN: a shortcut where width or stride change.

    Source:
        He et al. 2016, arXiv:1512.03385, section 3.3, option B.
    """
    return nn.Sequential(*conv_bn(in_channels, out_channels, 1, stride))


def sepconv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Returns RandWire's triplet: ReLU, separable 3x3 convolution, BN.

    Example:
        >>> [type(layer).__name__ for layer in sepconv(8, 16, 2)]
        ['ReLU', 'Conv2d', 'Conv2d', 'BatchNorm2d']

    Source:
        Xie et al. 2019, arXiv:1904.01569, section 3.1.
    """
    depthwise = nn.Conv2d(
        in_channels, in_channels, 3, stride, 1, groups=in_channels, bias=False
    )
    return nn.Sequential(
        nn.ReLU(), depthwise, *conv_bn(in_channels, out_channels, kernel=1)
    )


def basic_branch(in_channels: int, out_channels: int, stride: int = 1) -> nn.Module:
    """Returns the branch of a basic residual block, without the shortcut.

    The edges of the wiring are the shortcuts. It begins with the ReLU that follows the
    addition in the original block.

    Source:
        He et al. 2016, arXiv:1512.03385.
    """
    return nn.Sequential(
        nn.ReLU(),
        *conv_bn(in_channels, out_channels, 3, stride),
        nn.ReLU(),
        *conv_bn(out_channels, out_channels, 3),
    )


OPERATIONS: dict[str, Operation] = {"sepconv": sepconv, "basic": basic_branch}


def operations_of(operation: OperationLike, plan: StagePlan) -> list[Operation]:
    """Returns the operation of each node that computes.

    Identity nodes have none: with them, the i-th node that computes takes the i-th.

    Args:
        operation: One for all nodes, a list with one for each, or a function whose only
            parameter is called ``node``, called with 1 to n, that returns the
            operation of that node. An operation is a name from ``OPERATIONS``, a
            callable ``(in_channels, out_channels, stride) -> nn.Module``, or, of one
            node, the module itself.

    Example:
        >>> from ddw_graph.generators import complete
        >>> from ddw_graph.nn.plan import plan
        >>> mixed = operations_of(
        ...     lambda node: "basic" if node == 1 else "sepconv", plan(complete(3))
        ... )
        >>> [each.__name__ for each in mixed]
        ['basic_branch', 'sepconv', 'sepconv']
    """
    nodes = len(plan.computing)
    each: Sequence[Any]
    if _is_list(operation):
        each = [*operation]  # type: ignore
    elif isinstance(operation, nn.Module):
        each = [operation]
    elif _is_function_of_the_node(operation):
        each = [operation(node) for node in range(1, nodes + 1)]  # type: ignore
    else:
        each = [operation] * nodes
    if len(each) != nodes:
        raise ModelError(
            f"a list of operations has one for each of the {nodes} nodes that compute, "
            f"got {len(each)}"
        )
    named = [one for one in each if isinstance(one, str)]
    if named and plan.channel_axis == -1:
        raise ModelError(
            f"operation {named[0]!r} is for images with channel_axis=1, got "
            "channel_axis=-1: give an operation of your own"
        )
    return [*map(_operation, each)]


def operation_after_pruning(
    operation: OperationLike, nodes: Sequence[int]
) -> OperationLike:
    """Returns the operation of a pruned wiring."""
    if _is_list(operation):
        each = [*operation]  # type: ignore
        if not set(nodes) <= {*range(1, len(each) + 1)}:
            raise ModelError(
                f"the nodes left by pruning must be among 1 to {len(each)}, one for "
                f"each operation of the list, got {nodes}"
            )
        return [each[node - 1] for node in nodes]
    if _is_function_of_the_node(operation):
        return [operation(node) for node in nodes]  # type: ignore
    return operation


def _is_list(operation: OperationLike) -> bool:
    is_list = isinstance(operation, Sequence | nn.ModuleList)
    return is_list and not isinstance(operation, str)


def _is_function_of_the_node(operation: Any) -> bool:
    try:
        return [*inspect.signature(operation).parameters] == ["node"]
    except (TypeError, ValueError):  # a name, or a callable without a signature
        return False


def _operation(operation: str | Operation | nn.Module) -> Operation:
    if isinstance(operation, nn.Module):
        return lambda *_: operation
    if not isinstance(operation, str):
        if not callable(operation):
            raise ModelError(
                "operation must be a name, a module, or a callable (in_channels, "
                f"out_channels, stride) -> nn.Module, got {operation!r}"
            )
        return operation
    check_one_of("operation", operation, [*OPERATIONS])
    return OPERATIONS[operation]
