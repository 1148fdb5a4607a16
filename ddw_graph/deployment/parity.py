"""Parity: an exported network computes what the network does."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ddw_graph.errors import ExportError

BATCHES = (1, 5)
"""Numbers of images in a batch at which outputs are compared."""

TOLERANCE = 1e-4
"""Largest difference that rounding in float32 may make, over the largest value of the
output."""

MOST = 1e-3
"""Likewise where PyTorch's own rounding makes more."""

Runs = Callable[[Tensor], Sequence[Tensor]]


@dataclass(frozen=True)
class Parity:
    """How far an exported network's outputs are from the network's.

    A difference is over the largest value of its output in the batch.

    Args:
        logits: Largest difference of a logit.
        adjacency: Largest difference of a multiplier; None where they are no outputs.
        rounding: Largest difference of a logit between the network in float32 and in
            float64: the rounding without any export.
        batches: Numbers of images in the batches compared.
    """

    logits: float
    adjacency: float | None
    rounding: float
    batches: tuple[int, ...] = BATCHES


@torch.no_grad()
def parity(network: nn.Module, exported: Runs, batches: Sequence[Tensor]) -> Parity:
    """Returns how far an exported network's outputs are from the network's.

    Two computations in float32 round differently, and a deep network may amplify that;
    so an output is compared with the network in float64 and in float32, and the nearer
    one counts. The first has almost no rounding. The second decides like the file about
    an edge whose gate is within rounding of its threshold.

    Where the network's own rounding is large, twice as much is allowed, up to ``MOST``:
    the file rounds in another order, about as much. Beyond it an edge may have opened
    or closed, which is no rounding.

    Args:
        network: In float32; returns a tuple: logits, and adjacencies if any.
        batches: Images in float32, or tokens.

    Raises:
        ExportError: If an output differs from both by more than is allowed, has another
            shape, or is not finite.

    Example:
        >>> class Twice(nn.Module):
        ...     def forward(self, x):
        ...         return (2 * x.flatten(1),)
        >>> parity(Twice(), lambda x: [x.flatten(1) + x.flatten(1)], [torch.ones(1, 2)])
        Parity(logits=0.0, adjacency=None, rounding=0.0, batches=(1,))
    """
    exact = copy.deepcopy(network).double()
    pairs: list[list[tuple[float, float]]] = []
    for x in batches:
        precise = x.double() if x.is_floating_point() else x
        wanted, rounded, found = exact(precise), network(x), exported(x)
        if len(wanted) != len(found):
            raise ExportError(
                f"the file must have {len(wanted)} outputs, got {len(found)}"
            )
        outputs = zip(wanted, rounded, found, strict=True)
        pairs.append([_differences(*each, at) for at, each in enumerate(outputs)])
    ours, *matrices = (max(d for d, _ in each) for each in zip(*pairs, strict=True))
    return Parity(
        ours,
        max(matrices, default=None),
        max(each[0][1] for each in pairs),
        tuple(map(len, batches)),
    )


def _differences(
    exact: Tensor, rounded: Tensor, found: Tensor, place: int
) -> tuple[float, float]:
    """Returns an output's difference, and that of rounding in the network itself."""
    what = f"adjacency of stage {place}" if place else "logits"
    if exact.shape != found.shape:
        raise ExportError(
            f"{what} of {len(exact)} images must have the shape {tuple(exact.shape)}, "
            f"the file gives {tuple(found.shape)}"
        )
    if not (exact.isfinite().all() and rounded.isfinite().all()):
        raise ExportError(
            f"the network's {what} must be finite to be compared, got some that are not"
        )
    largest = exact.abs().max().item() or 1.0
    rounding = (rounded - exact).abs().max().item() / largest
    difference, other = (
        (found - reference).abs().max().item() / largest
        for reference in (exact, rounded)
    )
    allowed = max(TOLERANCE, min(2 * rounding, MOST))
    if not (difference <= allowed or other <= allowed):  # as not-a-number is not
        raise ExportError(
            f"an exported network must compute what the network does to {allowed:.1g} "
            f"of the largest value, got {difference:.1e} in the {what} of {len(exact)} "
            f"images, where rounding in PyTorch itself makes {rounding:.1e}; nothing "
            "was written"
        )
    return min(difference, other), rounding
