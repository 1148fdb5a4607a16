"""Files of boxes: what is read from them, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from ddw_graph.detection.coco import CocoData, coco_data, coco_split
from ddw_graph.detection.detector import Category
from ddw_graph.detection.images import flipped, read_image
from ddw_graph.errors import DataError
from tests.detection.small import SIZE, small_content, small_data, write_data

Content = dict[str, Any]

LIT = 230 / 255
"""What the squares are in their channel."""


def read(root: Path, content: Any, **options: Any) -> CocoData:
    root.mkdir(exist_ok=True)
    file = root / "boxes.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return coco_data(root, file, **options)


def test_reads_images_boxes_and_categories(tmp_path: Path) -> None:
    content = small_content(3)
    content["categories"].reverse()  # order is that of the numbers
    content["images"].reverse()
    content["annotations"][1]["iscrowd"] = 1
    del content["annotations"][2]["area"]
    data = read(tmp_path, content)
    assert data.categories == (Category(3, "red"), Category(8, "blue"))
    assert [image["id"] for image in data.images] == [1, 2, 3]
    first, second, third, *_ = data.content["annotations"]
    assert (first["category_id"], second["category_id"]) == (3, 8)
    assert (first["iscrowd"], second["iscrowd"]) == (0, 1)
    assert third["area"] == 144
    assert data.boxes(0)["labels"].tolist() == [1]
    assert data.boxes(1)["labels"].tolist() == [1, 2]
    assert data.synthetic and data.skipped == 0
    assert data.as_dict()["objects"] == 5 and data.as_dict()["crowds"] == 1


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_null_is_as_good_as_missing_in_any_encoding(
    tmp_path: Path, encoding: str
) -> None:
    content = small_content(1)
    wanted = read(tmp_path, content).content
    for entry in content["annotations"]:
        entry.update(area=None, iscrowd=None)
    content["info"]["more"] = "ü"
    file = tmp_path / "boxes.json"
    file.write_bytes(json.dumps(content, ensure_ascii=False).encode(encoding))
    found = coco_data(tmp_path, file).content
    assert found["annotations"] == wanted["annotations"]


def test_crowds_are_not_trained_on(tmp_path: Path) -> None:
    content = small_content(2)
    for entry in content["annotations"][:2]:
        entry["iscrowd"] = 1
    data = read(tmp_path, content)
    assert data.boxes(0)["boxes"].shape == (0, 4)
    assert [image["id"] for image in data.trainable().images] == [2]
    assert data.trainable().as_dict()["crowds"] == 0
    for entry in content["annotations"]:
        entry["iscrowd"] = 1
    with pytest.raises(DataError, match="an image with an object is needed"):
        read(tmp_path, content).trainable()


HUGE = 10**400


@pytest.mark.parametrize(
    ("where", "key", "value", "message"),
    [
        ("annotations", "image_id", 99, r"\[1\].image_id must be an id .* got 99"),
        ("annotations", "category_id", 4, "category_id must be an id in the file"),
        ("annotations", "category_id", True, "must be a whole number"),
        ("annotations", "bbox", [1, 2, 3], "x, y, width and height"),
        ("annotations", "bbox", [1, 2, 3, "a"], "bbox must be finite numbers"),
        ("annotations", "bbox", [1, 2, 3, float("nan")], "bbox must be finite numbers"),
        ("annotations", "bbox", [1, 2, 3, HUGE], "bbox must be finite numbers"),
        ("annotations", "bbox", [1, 2, 0, 5], "bbox must have a size"),
        ("annotations", "bbox", [40, 2, 9.5, 5], "in its image of 48 x 48 pixels"),
        ("annotations", "bbox", [-3, 2, 9, 5], "be in its image"),
        ("annotations", "bbox", [60, 60, 5, 5], "be in its image"),
        ("annotations", "iscrowd", 2, "iscrowd must be 0 or 1, got 2"),
        ("annotations", "area", -1, "area must be a finite number, at least 0, got -1"),
        ("annotations", "area", "big", "area must be a finite number"),
        ("annotations", "id", 1, "ids of annotations must be different, got 1 twice"),
        ("images", "id", 2**63, "id must be a whole number of 64 bits"),
        ("images", "id", 1, "ids of images must be different, got 1 twice"),
        ("images", "width", HUGE, "width must be a whole number of pixels"),
        ("images", "width", 0, r"images\[1\].width must be .* at least 1, got 0"),
        ("images", "file_name", "0.png", "got '0.png' twice"),
        ("images", "file_name", "../0.png", "be a file below the folder"),
        ("images", "file_name", "/etc/x", "be a file below the folder"),
        ("images", "file_name", 3, "be a file below the folder .* got 3"),
        ("images", "file_name", "\ud800.png", r"characters, got '\\ud800.p"),
        ("categories", "id", 3, "ids of categories must be different, got 3 twice"),
        ("categories", "name", "a\udfff", "name must be a text of whole characters"),
        ("categories", "name", "", "name must be a text"),
        ("images", None, None, "images must be a list, got None"),
        ("images", None, [], "images must hold at least one entry, got none"),
        ("categories", None, [], "categories must hold at least one entry, got none"),
        ("annotations", None, [3], "must be an object, got 3"),
    ],
)
def test_what_breaks_a_rule_is_named(
    tmp_path: Path, where: str, key: str | None, value: Any, message: str
) -> None:
    content = small_content(3)
    if key is None:
        content[where] = value
    else:
        content[where][1][key] = value
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, content)
    str(caught.value).encode()  # which a terminal can show
    assert str(caught.value).startswith(f"{tmp_path / 'boxes.json'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{", json.dumps(small_content())[:-200], "\x00", "[" * 100_000],
)
def test_a_file_cut_short_is_named(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"boxes\.json"):
        read(tmp_path, content)
    with pytest.raises(DataError, match="No such file"):
        coco_data(tmp_path, tmp_path / "none.json")
    with pytest.raises(DataError, match="images must be in a folder"):
        coco_data(tmp_path / "none", tmp_path / "boxes.json")


def test_bad_boxes_are_left_out_where_asked_for(tmp_path: Path) -> None:
    content = small_content(2)
    content["annotations"][0]["bbox"] = [1, 1, 5, 0]
    # What rounding pushed out is cut.
    content["annotations"][3]["bbox"] = [40, -0.5, 8.25, 10]
    data = read(tmp_path, content, bad_boxes="skip")
    assert data.content["annotations"][-1]["bbox"] == [40, 0, 8, 9.5]
    assert data.skipped == data.as_dict()["skipped_boxes"] == 1
    assert [len(data.boxes(place)["labels"]) for place in (0, 1)] == [1, 2]
    content["annotations"][1]["image_id"] = 99  # which is another fault
    with pytest.raises(DataError, match="image_id must be an id in the file"):
        read(tmp_path, content, bad_boxes="skip")


@pytest.mark.parametrize("name", ["train", "train2017"])
def test_finds_the_parts_of_a_data_set(tmp_path: Path, name: str) -> None:
    folder, file = write_data(tmp_path / "made", small_content(2))
    (tmp_path / "annotations").mkdir()
    folder.rename(tmp_path / name)
    file.rename(tmp_path / "annotations" / f"instances_{name}.json")
    assert len(coco_split(tmp_path, "train")) == 2
    with pytest.raises(DataError, match="instances_val2017.json, got neither"):
        coco_split(tmp_path, "val")


def test_an_item_is_an_image_with_its_boxes(tmp_path: Path) -> None:
    data = small_data(tmp_path, images=3)
    for place in range(3):
        image, boxes = data[place]
        assert image.shape == (3, SIZE, SIZE) and 0 <= image.min() <= image.max() <= 1
        assert boxes["labels"].tolist() == [1, 2] and boxes["image_id"] == place + 1
        for (x1, y1, x2, y2), channel in zip(
            boxes["boxes"].int().tolist(), (0, 2), strict=True
        ):
            assert (image[channel, y1:y2, x1:x2] - LIT).abs().max() < 1e-6
    grey, _ = replace(data, channels=1)[1]
    assert grey.shape == (1, SIZE, SIZE)


def test_a_flip_moves_boxes_with_pixels(tmp_path: Path) -> None:
    plain = small_data(tmp_path, images=8)
    data = replace(plain, flip=True)
    assert data.as_dict() == plain.as_dict()
    torch.manual_seed(0)
    turned = 0
    for place in range(8):
        (image, boxes), before = data[place], plain[place]
        if not torch.equal(image, before[0]):
            turned += 1
            assert torch.equal(image, before[0].flip(-1))
            for x1, y1, x2, y2 in boxes["boxes"][:1].int().tolist():
                assert (image[0, y1:y2, x1:x2] - LIT).abs().max() < 1e-6
            back = flipped(image, boxes)
            assert torch.equal(back[0], before[0])
            assert torch.equal(back[1]["boxes"], before[1]["boxes"])
    assert 0 < turned < 8


def test_an_image_unlike_its_entry_is_named(tmp_path: Path) -> None:
    data = small_data(tmp_path, images=3)
    path = data.folder / "1.png"
    Image.new("RGB", (SIZE, 30)).save(path)
    with pytest.raises(DataError, match=r"1\.png: .* have 48 x 48 pixels .* 48 x 30"):
        data[1]
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1\.png: every file must be a readable image"):
        data[1]
    path.unlink()
    with pytest.raises(DataError, match=r"1\.png: .* No such file"):
        data[1]


TURN = 0x0112
"""EXIF's number for the orientation of an image."""


def turned(path: Path, told: tuple[int, int]) -> CocoData:
    """Writes an image of 8 x 4 pixels, stored on its side, and boxes for it."""
    exif = Image.Exif()
    exif[TURN] = 6  # a quarter to the right, so that viewers show 4 x 8
    picture = Image.new("RGB", (8, 4))
    picture.putpixel((0, 0), (255, 0, 0))
    picture.save(path / "a.png", exif=exif)
    width, height = told
    image = {"id": 1, "file_name": "a.png", "width": width, "height": height}
    entry = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 2, 2]}
    categories = [{"id": 1, "name": "a"}]
    content = {"images": [image], "annotations": [entry], "categories": categories}
    return read(path, content)


@pytest.mark.parametrize(
    ("told", "corner"), [((4, 8), (0, 0, 3)), ((8, 4), (0, 0, 0))], ids=str
)
def test_an_image_stands_as_its_boxes_saw_it(
    tmp_path: Path, told: tuple[int, int], corner: tuple[int, int, int]
) -> None:
    """With the size that viewers show it is turned; with the stored size it is not."""
    image, _ = turned(tmp_path, told)[0]
    assert tuple(image.shape) == (3, told[1], told[0])
    assert image.nonzero().tolist() == [list(corner)]
    with pytest.raises(DataError, match="must have 5 x 5 pixels .*, got 4 x 8"):
        turned(tmp_path, (5, 5))[0]


def test_images_that_cannot_be_read_can_be_left_out(tmp_path: Path) -> None:
    data = small_data(tmp_path, images=4)
    assert data.readable() == data
    (data.folder / "1.png").write_bytes(b"no image")
    Image.new("RGB", (SIZE, 30)).save(data.folder / "2.png")
    for workers in (0, 1):
        kept = data.readable(workers=workers)
        assert [image["id"] for image in kept.images] == [1, 4]
        assert [Path(each.name).name for each in kept.bad] == ["1.png", "2.png"]
        assert [int(kept[place][1]["image_id"]) for place in (0, 1)] == [1, 4]
        assert kept.as_dict()["bad_images"] == 2 and kept.as_dict()["objects"] == 4


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "CMYK", "1"])
def test_images_of_every_usual_mode_are_read(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "ü x.tif"
    Image.new(mode, (5, 4)).save(path)
    for channels in (1, 3):
        assert read_image(path, channels).shape == (channels, 4, 5)


@pytest.mark.parametrize(
    ("mode", "size", "rule"),
    [
        ("L", (1, 101), "at most 100 times the other, got 1x101"),
        ("I;16", (5, 4), "8 bits.* mode I;16"),  # which would be cut
    ],
)
def test_odd_images_are_refused(
    tmp_path: Path, mode: str, size: tuple[int, int], rule: str
) -> None:
    Image.new(mode, size).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=rule):
        read_image(tmp_path / "a.png", 3)


def test_categories_that_differ_are_named(tmp_path: Path) -> None:
    content = small_content(1)
    wanted = read(tmp_path, content).categories
    content["categories"][1]["name"] = "green"
    with pytest.raises(DataError, match="other, got 8 'green' in place of 8 'blue'"):
        read(tmp_path, content).check_categories(wanted, "the other")
    read(tmp_path, small_content(1)).check_categories(wanted, "the other")
