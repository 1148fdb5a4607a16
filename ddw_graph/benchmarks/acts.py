"""What is timed of a network: a step of training, and inference."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError, reason_of
from ddw_graph.nn.cost import cost
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.nn.measurement import Act
from ddw_graph.nn.network import Network


def noise(
    network: Network, batch: int, size: int | None, *, default: int | None
) -> Tensor:
    """Returns images of noise for a network.

    Args:
        network: The network; where it takes one size only, images have that.
        batch: How many.
        size: Height and width that were asked for, pixels, if any.
        default: Height and width otherwise.

    Raises:
        RunError: If the network takes no images, or no size is known, or another.
    """
    if isinstance(network, LanguageModel):
        raise RunError("a benchmark needs a network of images, got a language model")
    own = network.image_size
    if size and own not in (None, size):
        raise RunError(f"--image-size must be {own}, the network's own, got {size}")
    pixels = own or size or default
    if pixels is None:
        raise RunError("the network has no image size of its own; give --image-size")
    generator = torch.Generator().manual_seed(0)
    return network.example(pixels, batch=batch, generator=generator)


def training_step(model: nn.Module, x: Tensor) -> Act:
    """Returns a step of training: forward, loss, backward, and SGD with momentum."""
    model.train()
    labels = torch.zeros(len(x), dtype=torch.long, device=x.device)
    # Too slow to change what is measured, over any number of rounds.
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), labels)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def inference(model: nn.Module, x: Tensor, **options: Any) -> Act:
    """Returns a forward pass in evaluation that keeps nothing for a backward pass."""
    return torch.inference_mode()(partial(model.eval(), x, **options))


@torch.no_grad()
def settle(model: nn.Module, x: Tensor) -> None:
    """Gives normalisation the statistics of a batch, and evaluates the network then.

    With the statistics of a fresh network, features would grow from node to node beyond
    what numbers hold.

    Raises:
        RunError: If the network does not take the batch.
    """
    norms = [m for m in model.train().modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = 1.0
    try:
        model(x)
    except (AssertionError, ValueError) as error:
        raise RunError(
            f"the network must take {len(x)} images of {x.shape[-1]} px, got: "
            f"{reason_of(error)}; change --batch-size or --image-size"
        ) from error
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
    model.eval()


@torch.no_grad()
def wiring_figures(
    network: Network, x: Tensor, adjacency: Sequence[Tensor] | None = None
) -> dict[str, float]:
    """Returns the share of edges that are open, and the expected MACs of an image.

    Args:
        network: The network, in evaluation.
        adjacency: Multipliers; by default what the network returns for the images.
    """
    matrices = adjacency
    if matrices is None:
        _, matrices = network(x, return_adjacency=True)
        # Where edges cannot close, a weight of 0 is computed like any other.
        matrices = [
            matrix if stage.weights.can_close else torch.ones_like(matrix)
            for stage, matrix in zip(network.stages, matrices, strict=True)
        ]
    opened, edges = 0.0, 0
    for stage, matrix in zip(network.stages, matrices, strict=True):
        source, target = torch.tensor(stage.plan.edges, device=x.device).T
        is_open = (matrix[:, target, source] != 0).float()
        opened += is_open.mean().item() * len(source)
        edges += len(source)
    macs = cost(network, x.shape[-1]).expected_macs(matrices).mean().item()
    return {"open_edges": opened / edges, "macs": macs}
