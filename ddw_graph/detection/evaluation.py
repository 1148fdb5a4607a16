"""What a detector finds in images."""

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Boxes, Detector
from ddw_graph.detection.loading import batches
from ddw_graph.nn.features import by_sample
from ddw_graph.training.world import World


class Found(NamedTuple):
    """What a detector finds in one image.

    Args:
        boxes: The detections, the best first.
        adjacency: The multiplier of each edge, a tensor ``(N_k, N_k)`` a stage.
    """

    boxes: Boxes
    adjacency: list[Tensor]


@torch.no_grad()
def found_in(detector: Detector, image: Tensor) -> Found:
    """Returns what a detector finds in an image.

    An image is looked at by itself: in a batch the routers would see the padding that
    its neighbours make necessary.

    Args:
        detector: Put into evaluation mode while it looks.
        image: ``(in_channels, height, width)``, values in ``[0, 1]``.
    """
    mode = detector.training
    detector.eval()
    try:
        parameter = next(detector.parameters())
        image = image.to(parameter.device, parameter.dtype)
        (boxes,), matrices = detector([image], return_adjacency=True)
    finally:
        detector.train(mode)
    boxes = {name: values.cpu() for name, values in boxes.items()}
    return Found(boxes, [by_sample(matrix, axes=3)[0].cpu() for matrix in matrices])


def found_in_each(
    detector: Detector,
    data: CocoData,
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
) -> Iterator[Found]:
    """Yields what a detector finds in each image of this process.

    Args:
        detector: The detector.
        data: The images.
        workers: Processes that load images.
        world: The processes that share them: process r takes each r-th image.
    """
    places = range(world.rank, len(data.images), world.size)
    parts = [[place] for place in places]
    for _, (image,), _ in batches(
        data, parts, channels=detector.in_channels, workers=workers
    ):
        yield found_in(detector, image)


def boxes_found(
    detector: Detector,
    data: CocoData,
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
) -> list[Boxes]:
    """Returns the detections of each image, in the data's order.

    Args:
        detector: The detector.
        data: The images.
        workers: Processes that load images.
        world: The processes that share the work; each returns all of it.
    """
    found = found_in_each(detector, data, workers=workers, world=world)
    own = [each.boxes for each in found]
    if world.size == 1:
        return own
    device = next(detector.parameters()).device
    most = detector.settings.detections
    # Each process fills its own rows of one table, and the sum is the whole.
    table = torch.zeros(len(data.images), most, 7, dtype=torch.float64, device=device)
    for place, boxes in zip(
        range(world.rank, len(data.images), world.size), own, strict=True
    ):
        rows = torch.cat(
            [
                boxes["boxes"].double(),
                boxes["labels"][:, None].double(),
                boxes["scores"][:, None].double(),
                torch.ones(len(boxes["labels"]), 1, dtype=torch.float64),
            ],
            1,
        )
        table[place, : len(rows)] = rows.to(device)
    table = world.total(table).cpu()
    return [
        {
            "boxes": rows[rows[:, 6] > 0, :4].float(),
            "labels": rows[rows[:, 6] > 0, 4].long(),
            "scores": rows[rows[:, 6] > 0, 5].float(),
        }
        for rows in table
    ]
