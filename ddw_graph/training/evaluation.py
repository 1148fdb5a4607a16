"""How a network does on images that it was not trained on."""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

from ddw_graph.errors import DataError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.budget_term import mac_shares
from ddw_graph.training.images import Images
from ddw_graph.training.loading import Hears, batches
from ddw_graph.training.wiring_log import weight_sums, weighted_edges
from ddw_graph.training.world import World


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images.

    Args:
        loss: Mean cross-entropy.
        accuracy: Share of images whose class is predicted, in ``[0, 1]``.
        top5_accuracy: Share of images whose class is among the five most probable ones.
        macs_share: Mean of the MACs that an image asks for, in shares of those with
            every edge open.
        bad_images: Images that could not be read, which the means leave out.
        weights: Sums of the weights of ``weighted_edges`` over images, and of their
            squares, float64.
        images: How many images.
    """

    loss: float
    accuracy: float
    top5_accuracy: float
    macs_share: float
    bad_images: int = 0
    weights: Tensor = field(default_factory=lambda: torch.empty(2, 0), compare=False)
    images: int = 0


@torch.no_grad()
def evaluate(
    model: Network,
    images: Images,
    *,
    batch_size: int = 250,
    workers: int = 0,
    price: NetworkCost | None = None,
    world: World = World(),  # noqa: B008 (frozen)
    bad: Hears | None = None,
) -> Evaluation:
    """Returns how a network does, which is put into evaluation mode.

    Args:
        model: The network.
        images: The images.
        batch_size: Images at a time.
        workers: Processes that load images.
        price: What the network costs; counted here by default.
        world: The processes that evaluate, each its part of every batch.
        bad: Hears of images that cannot be read; an error by default.

    Raises:
        DataError: If no image can be read, or one cannot and nobody hears of it.
    """
    model.eval()
    first = next(model.parameters())
    # Of loss, right predictions, those among five, shares of MACs, and images.
    sums = torch.zeros(5, dtype=torch.float64, device=first.device)
    edges = weighted_edges(model)
    count_edges = sum(ends.shape[1] for ends in edges)
    weights = torch.zeros(2, count_edges, dtype=torch.float64, device=first.device)
    loader = batches(
        images,
        batch_size,
        workers=workers,
        rank=world.rank,
        world_size=world.size,
        bad=bad,
        pin=first.device.type == "cuda",
    )
    for x, labels in loader:
        if not len(labels):
            continue
        labels = labels.to(first.device, non_blocking=True)
        price = price or cost(model, x.shape[-1])
        logits, adjacency = model(
            x.to(first.device, first.dtype, non_blocking=True), return_adjacency=True
        )
        top = logits.topk(min(5, logits.shape[1])).indices
        # Added where they are: to read each would be to wait for it.
        sums += torch.stack(
            [
                functional.cross_entropy(logits, labels, reduction="sum").double(),
                (logits.argmax(1) == labels).sum().double(),
                (top == labels[:, None]).sum().double(),
                mac_shares(price, adjacency).double().sum(),
                sums.new_full((), len(labels)),
            ]
        )
        weights += weight_sums(edges, adjacency)
    loss, correct, among, share, count = world.total(sums).tolist()
    weights = world.total(weights).cpu()
    if not count:
        raise DataError(f"at least one image must be readable, got {len(images)} bad")
    lost = len(images) - int(count)
    return Evaluation(
        loss=loss / count,
        accuracy=correct / count,
        top5_accuracy=among / count,
        macs_share=share / count,
        bad_images=lost,
        weights=weights,
        images=int(count),
    )
