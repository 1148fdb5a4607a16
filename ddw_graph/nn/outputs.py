"""The loop that evaluates: what a network returns for each batch of samples."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ddw_graph.nn.network import Network


class Output(NamedTuple):
    """What a network returned for a batch, on the network's device.

    Args:
        labels: The class of each, or the token after each; None where the batches have
            none.
        adjacency: The effective multipliers, ``(batch, N_k, N_k, ...)`` for each stage.
    """

    images: Tensor
    labels: Tensor | None
    logits: Tensor
    adjacency: list[Tensor]


def outputs(
    network: Network,
    batches: Iterable[Tensor | Sequence[Tensor]],
    *,
    adjacency: Callable[[slice], Sequence[Tensor]] | None = None,
) -> Iterator[Output]:
    """Yields what a network returns for each batch, in evaluation mode.

    Batches are moved to the network's device and converted to its type. No gradient is
    kept, and between batches the network has the mode that it had. Sums of what is
    yielded need no synchronisation with a GPU until they are read.

    Args:
        batches: Images, or images and labels, such as a ``DataLoader`` gives.
        adjacency: Returns the multipliers for the samples of a batch, in place of those
            that the network would compute; called with the slice of all samples that
            the batch is.

    Example:
        >>> from ddw_graph import create_model
        >>> network = create_model("randwire_tiny", n=2, num_classes=10, in_channels=1)
        >>> batches = [torch.zeros(4, 1, 28, 28), torch.zeros(2, 1, 28, 28)]
        >>> [tuple(output.logits.shape) for output in outputs(network, batches)]
        [(4, 10), (2, 10)]
    """
    first = next(network.parameters())
    done = 0
    for batch in batches:
        images, *rest = [batch] if isinstance(batch, Tensor) else batch
        labels = rest[0].to(first.device, non_blocking=True) if rest else None
        dtype = first.dtype if images.is_floating_point() else images.dtype
        images = images.to(first.device, dtype, non_blocking=True)
        here = slice(done, done + len(images))
        done = here.stop
        given = None
        if adjacency is not None:
            given = [matrix.to(first.device) for matrix in adjacency(here)]
        # For each batch: whoever asks for the next one may train in between.
        with evaluating(network), torch.no_grad():
            logits, found = network(images, adjacency=given, return_adjacency=True)
        yield Output(images, labels, logits, found)


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Puts a model into evaluation mode within, and restores every module's mode."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training
