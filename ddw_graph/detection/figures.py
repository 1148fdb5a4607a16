"""COCO's twelve figures of detections, by name."""

from collections.abc import Sequence
from typing import Any

from ddw_graph.detection.coco import CocoData

FIGURES = (
    *("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large"),
    *("AR_1", "AR_10", "AR_100", "AR_small", "AR_medium", "AR_large"),
)
"""Average precision over overlaps of 0.5 to 0.95, at 0.5, at 0.75, and for objects of
less than 32^2, up to 96^2, and more square pixels; average recall with up to 1, 10 and
100 detections of an image, and for objects of the three sizes."""

Figures = dict[str, float | None]
"""The figures by name; None where the data has no such object."""


def coco_figures(data: CocoData, results: Sequence[dict[str, Any]]) -> Figures:
    """Returns COCO's twelve figures, by faster-coco-eval, which computes them as
    pycocotools does.

    Args:
        data: The images with their boxes.
        results: The detections in all of them, in COCO's form; see ``coco_results``.
    """
    truth = data.index
    from faster_coco_eval import COCOeval_faster  # an extra

    found = truth.loadRes([dict(each) for each in results])
    evaluation = COCOeval_faster(truth, found, "bbox", print_function=_silent)
    evaluation.run()
    # COCO's tools give -1 where there is no object.
    values = [None if value < 0 else float(value) for value in evaluation.stats]
    return dict(zip(FIGURES, values[: len(FIGURES)], strict=True))


def _silent(*_: Any, **__: Any) -> None:
    pass
