"""COCO's figures, of what is known."""

import sys
from pathlib import Path
from typing import Any

import pytest

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.figures import FIGURES, coco_figures
from ddw_graph.errors import RunError

A, B = 3, 90
"""Ids that don't count from 1, so that places and ids cannot be confused."""

Box = dict[str, Any]


def data(*images: tuple[Box, ...]) -> CocoData:
    boxes = [
        box | {"image_id": 7 * place}
        for place, each in enumerate(images)
        for box in each
    ]
    content = {
        "info": {"synthetic": True},
        "images": [
            {"id": 7 * place, "file_name": f"{place}.png", "width": 200, "height": 200}
            for place in range(len(images))
        ],
        "annotations": [box | {"id": n} for n, box in enumerate(boxes, start=1)],
        "categories": [{"id": A, "name": "a"}, {"id": B, "name": "b"}],
    }
    return CocoData(Path("images"), content, 0, "digest")


def box(category: int, x: float, side: float, *, crowd: bool = False) -> Box:
    return {
        "category_id": category,
        "bbox": [x, 5.0, side, side],
        "area": side**2,
        "iscrowd": int(crowd),
    }


def perfect(of: CocoData) -> list[Box]:
    keys = ("image_id", "category_id", "bbox")
    return [
        {key: each[key] for key in keys} | {"score": 0.9}
        for each in of.content["annotations"]
        if not each["iscrowd"]
    ]


ALL = data((box(A, 1, 20), box(B, 30, 50)), (box(B, 2, 110),), (), (box(A, 9, 31),))
SMALL = data((box(A, 1, 20),), (box(A, 50, 10),))


def test_perfect_detections_have_ones() -> None:
    single = data((box(A, 1, 20),), (box(A, 30, 50),), (box(B, 2, 110),))
    assert coco_figures(single, perfect(single)) == pytest.approx(
        dict.fromkeys(FIGURES, 1.0)
    )
    figures = coco_figures(ALL, perfect(ALL))
    assert all(figures[name] == 1 for name in FIGURES if name != "AR_1")


def test_without_detections_there_are_zeros_and_without_objects_no_figure() -> None:
    assert coco_figures(ALL, []) == dict.fromkeys(FIGURES, 0.0)
    for found in (perfect(SMALL), []):
        figures = coco_figures(SMALL, found)
        missing = {name for name, value in figures.items() if value is None}
        assert missing == {"AP_medium", "AP_large", "AR_medium", "AR_large"}
    empty = data((), ())
    one = {"image_id": 0, "category_id": A, "bbox": [1.0, 1, 8, 8], "score": 0.9}
    for found in ([one, one | {"image_id": 7}], []):
        assert coco_figures(empty, found) == dict.fromkeys(FIGURES)


def test_overlap_and_class_count() -> None:
    found = perfect(SMALL)
    # 20 x 20 pixels against the left 14 of them: an overlap of 0.7.
    found[0] |= {"bbox": [1.0, 5, 14, 20], "score": 0.5}
    figures = coco_figures(SMALL, found)
    assert figures["AP50"] == 1
    assert figures["AP75"] == pytest.approx(51 / 101, abs=0.01)
    other = [each | {"category_id": B} for each in perfect(SMALL)]
    assert coco_figures(SMALL, other)["AP"] == 0


def test_a_crowd_is_neither_right_nor_wrong() -> None:
    crowded = data((box(A, 1, 20), box(A, 50, 90, crowd=True)))
    found = perfect(crowded)
    assert coco_figures(crowded, found)["AP"] == 1
    more = [found[0] | {"bbox": [60.0, 20, 30, 40], "score": 0.95}, *found]
    assert coco_figures(crowded, more)["AP"] == 1
    plain = data((box(A, 1, 20),))
    assert coco_figures(plain, more)["AP"] == pytest.approx(0.5)


def test_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(RunError, match=r"pip install 'ddw_graph\[detection\]'"):
        coco_figures(data((box(A, 1, 20),)), [])
