"""COCO's twelve figures of detections, by name."""

from collections.abc import Iterator, Sequence
from typing import Any

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Boxes
from ddw_graph.errors import RunError

FIGURES = (
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_1",
    "AR_10",
    "AR_100",
    "AR_small",
    "AR_medium",
    "AR_large",
)
"""Average precision over overlaps of 0.5 to 0.95, at 0.5, at 0.75, and for objects of
less than 32^2, up to 96^2, and more square pixels; average recall with up to 1, 10 and
100 detections of an image, and for objects of the three sizes."""

Figures = dict[str, float | None]
"""The figures by name; None where the data has no object to tell."""


def coco_figures(data: CocoData, found: Sequence[Boxes]) -> Figures:
    """Returns COCO's twelve figures, by faster-coco-eval, which computes them as
    pycocotools does.

    Args:
        data: What there is to find.
        found: The detections of each image, in the data's order.

    Raises:
        RunError: If faster-coco-eval is not installed.
    """
    check_installed()
    from faster_coco_eval import COCO, COCOeval_faster  # an extra

    results = coco_results(data, found)
    truth = COCO(_truth(data))
    # Of no detections at all the evaluation has no answer: then nothing is found.
    if not results:
        return {name: None if _none_of_size(data, name) else 0.0 for name in FIGURES}
    evaluation = COCOeval_faster(
        truth, truth.loadRes(results), "bbox", print_function=_silent
    )
    evaluation.run()
    values = [float(value) for value in evaluation.stats[: len(FIGURES)]]
    # COCO's tools say -1 where there is nothing to find.
    return {
        name: None if value < 0 else value
        for name, value in zip(FIGURES, values, strict=True)
    }


def check_installed() -> None:
    """Checks that figures can be computed, before hours go into what they tell of.

    Raises:
        RunError: If faster-coco-eval is not installed.
    """
    try:
        import faster_coco_eval  # noqa: F401
    except ImportError as error:
        raise RunError(
            "COCO's figures need faster-coco-eval, which is not installed: pip install "
            "'ddw_graph[detection]'"
        ) from error


def coco_results(data: CocoData, found: Sequence[Boxes]) -> list[dict[str, Any]]:
    """Returns detections in COCO's form, an entry each, ready for JSON."""
    return [
        {
            "image_id": image.id,
            "category_id": data.categories[label - 1].id,
            "bbox": bounds,
            "score": score,
        }
        for image, boxes in zip(data.images, found, strict=True)
        for label, score, bounds in coco_rows(boxes)
    ]


def coco_rows(boxes: Boxes) -> Iterator[tuple[int, float, list[float]]]:
    """Yields label, score and box of each detection.

    The box is in COCO's form: left, top, width and height.
    """
    columns = (boxes[key].tolist() for key in ("labels", "scores", "boxes"))
    for label, score, (x1, y1, x2, y2) in zip(*columns, strict=True):
        yield label, score, [x1, y1, x2 - x1, y2 - y1]


def _truth(data: CocoData) -> dict[str, Any]:
    """Returns the data in COCO's form, with annotations numbered from 1.

    COCO's tools take number 0 for none.
    """
    pairs = [(image, box) for image in data.images for box in image.boxes]
    return {
        "images": [
            {"id": image.id, "width": image.width, "height": image.height}
            for image in data.images
        ],
        "categories": [vars(category) for category in data.categories],
        "annotations": [
            {
                "id": number,
                "image_id": image.id,
                "category_id": data.categories[box.category].id,
                "bbox": list(box.bounds),
                "area": box.area,
                "iscrowd": int(box.crowd),
            }
            for number, (image, box) in enumerate(pairs, start=1)
        ],
    }


SIZES = {
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Square pixels of the three sizes."""


def _none_of_size(data: CocoData, figure: str) -> bool:
    low, high = SIZES.get(figure.partition("_")[2], (0.0, 1e10))
    areas = [box.area for image in data.images for box in image.objects]
    return not any(low <= area <= high for area in areas)


def _silent(*_: Any, **__: Any) -> None:
    pass
