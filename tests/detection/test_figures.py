"""COCO's figures, of what is known."""

import sys
from pathlib import Path

import pytest
import torch

from ddw_graph.detection.coco import Box, CocoData, CocoImage
from ddw_graph.detection.detector import Boxes, Category
from ddw_graph.detection.figures import FIGURES, coco_figures, coco_results
from ddw_graph.detection.loading import boxes_of
from ddw_graph.errors import RunError

A, B = 0, 1


def data(*images: tuple[Box, ...]) -> CocoData:
    # Numbers that do not count from 1, so that places and numbers cannot be confused.
    told = tuple(
        CocoImage(7 * place, f"{place}.png", 200, 200, boxes)
        for place, boxes in enumerate(images)
    )
    categories = (Category(3, "a"), Category(90, "b"))
    return CocoData(Path("images"), told, categories, True, 0, "digest")


def box(category: int, x: float, side: float, *, crowd: bool = False) -> Box:
    return Box(category, (x, 5.0, side, side), side**2, crowd)


def perfect(of: CocoData) -> list[Boxes]:
    found = [boxes_of(image) for image in of.images]
    return [
        each | {"scores": torch.full((len(each["labels"]),), 0.9)} for each in found
    ]


def nothing(of: CocoData) -> list[Boxes]:
    none = {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long)}
    return [none | {"scores": torch.zeros(0)} for _ in of.images]


ALL = data((box(A, 1, 20), box(B, 30, 50)), (box(B, 2, 110),), (), (box(A, 9, 31),))
SMALL = data((box(A, 1, 20),), (box(A, 50, 10),))


def test_perfect_detections_have_ones() -> None:
    single = data((box(A, 1, 20),), (box(A, 30, 50),), (box(B, 2, 110),))
    assert coco_figures(single, perfect(single)) == pytest.approx(
        dict.fromkeys(FIGURES, 1.0)
    )
    figures = coco_figures(ALL, perfect(ALL))
    assert all(figures[name] == 1 for name in FIGURES if name != "AR_1")


def test_no_detections_have_zeros() -> None:
    assert coco_figures(ALL, nothing(ALL)) == dict.fromkeys(FIGURES, 0.0)


def test_what_is_not_there_has_no_figure() -> None:
    for found in (perfect(SMALL), nothing(SMALL)):
        figures = coco_figures(SMALL, found)
        missing = {name for name, value in figures.items() if value is None}
        assert missing == {"AP_medium", "AP_large", "AR_medium", "AR_large"}


def test_of_data_without_objects_there_is_no_figure() -> None:
    empty = data((), ())
    one = {"boxes": torch.tensor([[1.0, 1, 9, 9]]), "labels": torch.tensor([1])}
    found = [one | {"scores": torch.tensor([0.9])}] * 2
    for each in (found, nothing(empty)):
        assert coco_figures(empty, each) == dict.fromkeys(FIGURES)


def test_overlap_and_class_count() -> None:
    found = perfect(SMALL)
    # 20 x 20 pixels against the left 14 of them: an overlap of 0.7.
    narrow = torch.tensor([[1.0, 5, 15, 25]])
    found[0] = found[0] | {"boxes": narrow, "scores": torch.tensor([0.5])}
    figures = coco_figures(SMALL, found)
    assert figures["AP50"] == 1
    assert figures["AP75"] == pytest.approx(51 / 101, abs=0.01)
    other = [each | {"labels": each["labels"] + 1} for each in perfect(SMALL)]
    assert coco_figures(SMALL, other)["AP"] == 0


def test_a_crowd_is_neither_right_nor_wrong() -> None:
    crowded = data((box(A, 1, 20), box(A, 50, 90, crowd=True)))
    found = perfect(crowded)
    assert coco_figures(crowded, found)["AP"] == 1
    inside = torch.tensor([[60.0, 20, 90, 60]])
    more = {
        "boxes": torch.cat([inside, found[0]["boxes"]]),
        "labels": torch.tensor([1, 1]),
        "scores": torch.tensor([0.95, 0.9]),
    }
    assert coco_figures(crowded, [more])["AP"] == 1
    plain = data((box(A, 1, 20),))
    assert coco_figures(plain, [more])["AP"] == pytest.approx(0.5)


def test_results_have_the_numbers_of_the_data() -> None:
    results = coco_results(ALL, perfect(ALL))
    assert [(r["image_id"], r["category_id"]) for r in results] == [
        (0, 3),
        (0, 90),
        (7, 90),
        (21, 3),
    ]
    assert results[1]["bbox"] == [30, 5, 50, 50]


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(RunError, match=r"pip install 'ddw_graph\[detection\]'"):
        coco_figures(ALL, nothing(ALL))
