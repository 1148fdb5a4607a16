"""The data of tools/make_detection_data.py: tight boxes, disjoint parts, repeatable."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddw_graph.detection.coco import coco_split
from tests.detection.small import TOOL, make_data

OBJECTS = TOOL["sources"](0, None)["train"].objects


def make(folder: Path, *options: str) -> None:
    sizes = "--train 6 --val 4 --image-size 64 --crops 4 --crop-size 16"
    make_data(folder, *sizes.split(), *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    make(folder, "--seed", "5")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def boxes(folder: Path, part: str) -> dict[str, Any]:
    path = folder / "annotations" / f"instances_{part}.json"
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def test_the_same_seed_gives_the_same_bytes(made: Path, tmp_path: Path) -> None:
    make(tmp_path / "again", "--seed", "5")
    assert content(tmp_path / "again") == content(made)
    make(tmp_path / "other", "--seed", "6")
    other, first = content(tmp_path / "other"), content(made)
    assert other.keys() == first.keys()
    assert not any(other[name] == first[name] for name in first)


def test_parts_are_disjoint_and_called_synthetic(made: Path) -> None:
    train, val = (set(TOOL["PHOTOGRAPHS"][part].split()) for part in ("train", "val"))
    assert train and val and not train & val
    sources = TOOL["sources"](5, None)
    pixels = [{each.tobytes() for each in s.objects} for s in sources.values()]
    assert not pixels[0] & pixels[1]
    for part, count in (("train", 6), ("val", 4)):
        data = coco_split(made, part)
        assert data.synthetic and len(data) == count
        assert all(data[place][0].shape == (3, 64, 64) for place in range(count))
        for entry in boxes(made, part)["annotations"]:
            label = sources[part].labels[entry["object"]]
            assert label == entry["category_id"] - 1
        crops = list((made / "crops" / part).glob("*/*.png"))
        assert len(crops) == (40 if part == "train" else 10)
        with Image.open(crops[0]) as crop:
            assert crop.size == (16, 16)


def test_objects_are_of_the_classes_that_were_asked_for(tmp_path: Path) -> None:
    make(tmp_path / "two", "--class", "Bag", "--class", "Trouser")
    value = boxes(tmp_path / "two", "train")
    assert [category["name"] for category in value["categories"]] == ["Trouser", "Bag"]
    assert {entry["category_id"] for entry in value["annotations"]} == {2, 9}
    with pytest.raises(SystemExit):  # what is there is not replaced
        make(tmp_path)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 5), low=st.floats(0.1, 0.6))
def test_boxes_are_tight_around_what_was_pasted(
    seed: int, count: int, low: float
) -> None:
    objects = OBJECTS
    draws = np.random.default_rng(seed)
    chosen = [objects[int(each)] for each in draws.integers(len(objects), size=count)]
    # No object has a black pixel: its channels keep one proportion, none of them 0.
    background = np.zeros((80, 100, 3), np.uint8)
    image, pasted = TOOL["composite"](background, chosen, draws, (low, 1.0))
    left = (image != background).any(2)
    assert pasted and pasted[0][0] == 0
    for _, (x, y, width, height), area in pasted:
        part = left[y : y + height, x : x + width].copy()
        assert part.shape == (height, width) and part.sum() == area
        assert part[[0, -1]].any(1).all() and part[:, [0, -1]].any(0).all()
        left[y : y + height, x : x + width] = False
    assert not left.any() and not background.any()
