"""Synthetic data: the same each time, tight boxes, nothing in common."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from ddw_graph.detection import photographs as photographs_module
from ddw_graph.detection.coco import coco_split
from ddw_graph.detection.composites import composite, cut_out
from ddw_graph.detection.photographs import TESTING, TRAINING, photographs
from ddw_graph.detection.synthetic import Synthesis, synthesize
from ddw_graph.errors import DataError
from ddw_graph.training.data import load_data
from ddw_graph.training.images import ArrayImages

SMALL = Synthesis(train=6, val=4, image_size=64, crops=4, crop_size=16)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "data"
    counts = synthesize(folder, SMALL, seed=5)
    assert counts == {"train": 6, "crops_train": 40, "val": 4, "crops_val": 10}
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
    synthesize(tmp_path / "again", SMALL, seed=5)
    assert content(tmp_path / "again") == content(made)
    synthesize(tmp_path / "other", SMALL, seed=6)
    other, first = content(tmp_path / "other"), content(made)
    assert other.keys() == first.keys()
    differs = {name for name in first if other[name] != first[name]}
    assert differs == set(first)


def test_training_and_testing_have_nothing_in_common(made: Path) -> None:
    train, val = (boxes(made, part) for part in ("train", "val"))
    assert not set(TRAINING) & set(TESTING)
    for part, names in ((train, TRAINING), (val, TESTING)):
        assert part["info"]["backgrounds"] == list(names)
        assert {image["background"] for image in part["images"]} <= set(names)
    data = load_data()
    assert isinstance(data.train, ArrayImages) and isinstance(data.test, ArrayImages)
    for part, images in ((train, data.train), (val, data.test)):
        for entry in part["annotations"]:
            assert images.labels[entry["object"]] == entry["category_id"] - 1
    pixels = [
        {image.numpy().tobytes() for image in images.pixels}
        for images in (data.train, data.test)
    ]
    assert not pixels[0] & pixels[1]
    photos = photographs((*TRAINING, *TESTING))
    assert len({photo.pixels.tobytes() for photo in photos}) == len(photos)


def test_says_everywhere_that_it_is_synthetic(made: Path) -> None:
    for part in ("train", "val"):
        info = boxes(made, part)["info"]
        assert info["synthetic"] is True and "SYNTHETIC" in info["description"]
        assert coco_split(made, part).synthetic
    assert len(coco_split(made, "train").images) == 6
    for image in coco_split(made, "val").images:
        with Image.open(made / "val" / image.name) as picture:
            assert picture.size == (64, 64) and picture.mode == "RGB"


def test_objects_are_of_the_classes_that_were_asked_for(tmp_path: Path) -> None:
    synthesis = Synthesis(
        train=6, val=6, crops=4, image_size=64, classes=("Bag", "Trouser")
    )
    synthesize(tmp_path / "two", synthesis, seed=0)
    value = boxes(tmp_path / "two", "train")
    assert [category["name"] for category in value["categories"]] == ["Trouser", "Bag"]
    data = load_data()
    assert isinstance(data.train, ArrayImages)
    for entry in value["annotations"]:
        assert data.train.labels[entry["object"]] == entry["category_id"] - 1 in (1, 8)
    assert {p.name for p in (tmp_path / "two/crops/val").iterdir()} == {
        "Trouser",
        "Bag",
    }


def test_crops_are_an_image_folder(made: Path) -> None:
    data = load_data("folder", root=made / "crops", image_size=16)
    assert len(data.classes) == 10 and "T-shirt_top" in data.classes
    assert (len(data.train), len(data.test)) == (40, 10)


@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 5),
    low=st.floats(0.1, 0.6),
    colour=st.booleans(),
)
def test_boxes_are_tight_around_what_was_pasted(
    seed: int, count: int, low: float, colour: bool
) -> None:
    data = load_data()
    assert isinstance(data.train, ArrayImages)
    draws = np.random.default_rng(seed)
    places = draws.integers(len(data.train), size=count)
    objects = [data.train.pixels[int(place), 0].numpy() for place in places]
    # A negative of the image would do too; this colour is none that objects have, as
    # their channels keep one proportion and none of them is 0.
    background = np.zeros((80, 100, 3), np.uint8)
    image, pasted = composite(
        background, objects, draws, scales=(low, 1.0), colour=colour
    )
    changed = (image != background).any(2)
    assert pasted and pasted[0].place == 0
    left = changed.copy()
    for one in pasted:
        x, y, width, height = one.bounds
        part = changed[y : y + height, x : x + width]
        assert part.shape == (height, width)
        assert part[0].any() and part[-1].any()
        assert part[:, 0].any() and part[:, -1].any()
        assert part.sum() == one.area
        left[y : y + height, x : x + width] = False
    assert not left.any()
    assert not background.any()


def test_a_part_of_a_photograph_is_its_own() -> None:
    ramp = np.zeros((60, 90, 3), np.uint8)
    ramp[..., 0] = np.arange(90)
    ramp[..., 1] = np.arange(60)[:, None]
    for seed in range(8):
        part = cut_out(ramp, 60, np.random.default_rng(seed))
        assert part.shape == (60, 60, 3)
        assert (part[..., 1] == np.arange(60)[:, None]).all()
        steps = np.diff(part[0, :, 0].astype(int))
        assert (steps == 1).all() or (steps == -1).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 0}, "train must be at least 1, got 0"),
        ({"min_scale": 0.9}, r"min_scale must be in \(0, max_scale\]"),
        ({"max_scale": 1.5}, "with max_scale up to 1"),
        ({"crops": 2}, "crops must be 0, or at least 4, got 2"),
        ({"image_size": 8}, "image_size must be at least 32"),
    ],
)
def test_refuses_what_cannot_be_made(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Synthesis(**changes)


def test_writes_to_an_empty_folder_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("")
    with pytest.raises(DataError, match="needs a new or an empty folder"):
        synthesize(tmp_path, SMALL, seed=0)
    with pytest.raises(DataError, match="seed must be in"):
        synthesize(tmp_path / "new", SMALL, seed=-1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("package", ["sklearn", "skimage"])
def test_says_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from importlib.util import find_spec as real

    monkeypatch.setattr(
        photographs_module,
        "find_spec",
        lambda name: None if name == package else real(name),
    )
    with pytest.raises(DataError, match=rf"{package} is not installed: pip install"):
        synthesize(tmp_path / "new", SMALL, seed=0)
    assert not (tmp_path / "new").exists()


def test_a_package_without_its_photographs_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(photographs_module.PACKAGES, "skimage", "no_such_folder")
    with pytest.raises(DataError, match="skimage must come with the photograph"):
        photographs(TESTING)
