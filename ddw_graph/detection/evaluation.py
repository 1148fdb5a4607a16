"""What a detector finds in images."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Boxes, Category, Detector
from ddw_graph.nn.features import by_sample
from ddw_graph.nn.outputs import evaluating
from ddw_graph.training.loading import batches
from ddw_graph.training.world import World


class Found(NamedTuple):
    """What a detector finds in one image.

    Args:
        boxes: The detections, the best first.
        adjacency: The multiplier of each edge, a tensor ``(N_k, N_k)`` a stage.
    """

    boxes: Boxes
    adjacency: list[Tensor]

    def detections(
        self, categories: Sequence[Category], *, score: float = 0.0
    ) -> list[dict[str, Any]]:
        """Returns an entry for each detection, ready for JSON; boxes in COCO's form."""
        columns = (self.boxes[key].tolist() for key in ("labels", "scores", "boxes"))
        return [
            {
                "category_id": categories[label - 1].id,
                "category": categories[label - 1].name,
                "score": value,
                "bbox": [x1, y1, x2 - x1, y2 - y1],
            }
            for label, value, (x1, y1, x2, y2) in zip(*columns, strict=True)
            if value >= score
        ]


@torch.no_grad()
def found_in(detector: Detector, image: Tensor) -> Found:
    """Returns what a detector finds in an image.

    It gets one image at a time: in a batch the routers would see the padding to the
    size of the other images.

    Args:
        detector: In evaluation mode during the call.
        image: ``(in_channels, height, width)``, values in ``[0, 1]``.
    """
    parameter = next(detector.parameters())
    image = image.to(parameter.device, parameter.dtype)
    with evaluating(detector):
        (boxes,), matrices = detector([image], return_adjacency=True)
    boxes = {name: values.cpu() for name, values in boxes.items()}
    return Found(boxes, [by_sample(matrix, axes=3)[0].cpu() for matrix in matrices])


def coco_results(
    detector: Detector,
    data: CocoData,
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
) -> list[dict[str, Any]]:
    """Returns the detections in all images, in COCO's form, ready for JSON.

    Args:
        world: The processes that share the images; each returns all detections.
    """
    images = replace(data, channels=detector.in_channels, flip=False)
    results: list[dict[str, Any]] = []
    for batch in batches(
        images,
        world.size,
        workers=workers,
        world=world,
        collate=list,
    ):
        for image, boxes in batch:
            found = found_in(detector, image).detections(detector.categories)
            for each in found:
                del each["category"]  # COCO's form has ids only
                results.append({"image_id": int(boxes["image_id"]), **each})
    return [each for part in world.gather(results) for each in part]
