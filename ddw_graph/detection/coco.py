"""Data in COCO's format: a folder of images, and a JSON file of their boxes."""

import json
import math
import os
import reprlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Any

from ddw_graph.detection.detector import Category
from ddw_graph.errors import DataError

BAD_BOXES = ("fail", "skip")
"""What is done with a box that breaks a rule: the reading ends, or goes on without."""

ROUNDING = 1.0
"""Pixels that a box may reach beyond its image: files round."""

SPLITS = {"train": ("train", "train2017"), "val": ("val", "val2017")}
"""Names that a part of a data set may have, on disk."""


@dataclass(frozen=True)
class Box:
    """An object in an image.

    Args:
        category: Place of its class among the categories.
        bounds: ``x``, ``y``, width and height, pixels.
        area: Of the object, square pixels.
        crowd: Whether it is a group of objects: left out of training, and neither
            right nor wrong to find.
    """

    category: int
    bounds: tuple[float, float, float, float]
    area: float
    crowd: bool = False


@dataclass(frozen=True)
class CocoImage:
    """An image with its objects.

    Args:
        id: Its number in the file.
        name: Its file, below the folder.
        width: Pixels.
        height: Pixels.
        boxes: The objects.
    """

    id: int
    name: str
    width: int
    height: int
    boxes: tuple[Box, ...]

    @property
    def objects(self) -> tuple[Box, ...]:
        """The objects that are trained on: those that are no crowd."""
        return tuple(box for box in self.boxes if not box.crowd)


@dataclass(frozen=True)
class CocoData:
    """A part of a data set in COCO's format.

    Args:
        folder: The folder of images.
        images: The images, in the order of their numbers.
        categories: The classes, in the order of their numbers.
        synthetic: Whether the file says that its images are composed and no
            photographs.
        skipped: Boxes that were left out.
        digest: Tells data apart.
    """

    folder: Path
    images: tuple[CocoImage, ...]
    categories: tuple[Category, ...]
    synthetic: bool
    skipped: int
    digest: str

    def as_dict(self) -> dict[str, Any]:
        """Returns what tells this data from other data, ready for JSON."""
        return {
            "images": len(self.images),
            "objects": sum(len(image.objects) for image in self.images),
            "crowds": sum(box.crowd for image in self.images for box in image.boxes),
            "skipped_boxes": self.skipped,
            "categories": [vars(category) for category in self.categories],
            "synthetic": self.synthetic,
            "digest": self.digest,
        }

    def trainable(self) -> "CocoData":
        """Returns the images that have an object to train on.

        Raises:
            DataError: If none has.
        """
        kept = tuple(image for image in self.images if image.objects)
        if not kept:
            raise DataError(f"an image with an object is needed, got none in {self}")
        return replace(self, images=kept)

    def check_categories(self, wanted: Sequence[Category], of: object) -> None:
        """Checks that the categories are those of something else.

        Args:
            wanted: What they should be.
            of: What has those, for the words of an error.

        Raises:
            DataError: If they differ; it names the first that does.
        """
        ours, theirs = (
            {each.id: repr(each.name) for each in categories}
            for categories in (self.categories, wanted)
        )
        for number in sorted({*ours, *theirs}):
            here, there = ours.get(number, "none"), theirs.get(number, "none")
            if here != there:
                raise DataError(
                    f"categories of {self} must be those of {of}, where number "
                    f"{number} is {there}, got {here}"
                )

    def __str__(self) -> str:
        """Returns where the images are."""
        return str(self.folder)


def coco_split(root: Path, part: str, *, bad_boxes: str = "fail") -> CocoData:
    """Returns a part of a data set that lies as COCO does.

    That is ``root/train2017`` with ``root/annotations/instances_train2017.json``, or
    the same without the year.

    Args:
        root: The folder of both.
        part: ``train`` or ``val``.
        bad_boxes: ``fail`` or ``skip``.

    Raises:
        DataError: If there is no such part, or it breaks a rule of ``coco_data``.
    """
    names = SPLITS[part]
    for name in names:
        file = root / "annotations" / f"instances_{name}.json"
        if file.exists():
            return coco_data(root / name, file, bad_boxes=bad_boxes)
    raise DataError(
        f"{root} must hold annotations/instances_{names[0]}.json or "
        f"annotations/instances_{names[1]}.json, got neither"
    )


def coco_data(folder: Path, file: Path, *, bad_boxes: str = "fail") -> CocoData:
    """Returns the images and boxes that a JSON file in COCO's format tells of.

    Every number and reference is checked; image files are looked at when they are
    read. A box that reaches beyond its image by less than a pixel is cut there.

    Args:
        folder: The folder of images.
        file: The JSON file.
        bad_boxes: ``fail``, or ``skip``: boxes of no size or outside their image are
            then left out, and counted. COCO's own has such.

    Raises:
        DataError: If something is missing, told twice, or refers to nothing. The
            message, of one line, names the file and the place in it.
    """
    if bad_boxes not in BAD_BOXES:
        raise DataError(
            f"bad_boxes must be {' or '.join(BAD_BOXES)}, got {bad_boxes!r}"
        )
    if not folder.is_dir():
        raise DataError(f"images must be in a folder, got {folder}")
    try:
        content = file.read_bytes()
        value = json.loads(content)
    except OSError as error:
        raise DataError(f"{file} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} must hold whole JSON, {error}") from error
    try:
        categories = _categories(value)
        images, skipped = _images(value, categories, skips=bad_boxes == "skip")
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    info = value.get("info")
    synthetic = isinstance(info, dict) and info.get("synthetic") is True
    digest = sha256(content).hexdigest()[:16]
    return CocoData(folder, images, categories, synthetic, skipped, digest)


def _categories(value: Any) -> tuple[Category, ...]:
    found = [
        Category(_whole(entry, "id", place), _text(entry, "name", place))
        for place, entry in _entries(value, "categories")
    ]
    if not found:
        raise DataError("categories must hold a class or more, got none")
    _check_unique((each.id for each in found), "categories")
    return tuple(sorted(found, key=lambda category: category.id))


def _images(
    value: Any, categories: tuple[Category, ...], *, skips: bool
) -> tuple[tuple[CocoImage, ...], int]:
    images: dict[int, CocoImage] = {}
    for place, entry in _entries(value, "images"):
        width, height = (_whole(entry, key, place) for key in ("width", "height"))
        if width < 1 or height < 1:
            raise DataError(f"{place} must have a size, got {width} x {height} pixels")
        image = CocoImage(
            _whole(entry, "id", place), _inner_path(entry, place), width, height, ()
        )
        if image.id in images:
            raise DataError(f"images must have ids of their own, got {image.id} twice")
        images[image.id] = image
    if not images:
        raise DataError("images must hold an image or more, got none")
    _check_unique((image.name for image in images.values()), "file names of images")
    places = {category.id: place for place, category in enumerate(categories)}
    boxes: dict[int, list[Box]] = {number: [] for number in images}
    seen: list[int] = []
    skipped = 0
    for place, entry in _entries(value, "annotations"):
        seen.append(_whole(entry, "id", place))
        number = _known(entry, "image_id", images, place)
        category = _known(entry, "category_id", places, place)
        try:
            bounds = _bounds(entry, images[number], place)
        except _BadBox:
            if not skips:
                raise
            skipped += 1
            continue
        area = _number(entry.get("area", bounds[2] * bounds[3]), f"{place}.area")
        if area < 0:
            raise DataError(f"{place}.area must be at least 0, got {area}")
        crowd = entry.get("iscrowd", 0)
        if type(crowd) not in (int, bool) or crowd not in (0, 1):
            raise DataError(f"{place}.iscrowd must be 0 or 1, got {_brief(crowd)}")
        boxes[number].append(Box(places[category], bounds, area, bool(crowd)))
    _check_unique(seen, "annotations")
    return (
        tuple(
            replace(image, boxes=tuple(boxes[number]))
            for number, image in sorted(images.items())
        ),
        skipped,
    )


class _BadBox(DataError):
    """A box has no size, or lies outside its image."""


def _bounds(
    entry: Mapping[str, Any], image: CocoImage, place: str
) -> tuple[float, float, float, float]:
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(
            f"{place}.bbox must be x, y, width and height, got {_brief(box)}"
        )
    x, y, width, height = (_number(each, f"{place}.bbox") for each in box)
    told = f"{place}.bbox must %s, got {box}"
    if width <= 0 or height <= 0:
        raise _BadBox(told % "have a size")
    left, right = max(x, 0.0), min(x + width, float(image.width))
    top, bottom = max(y, 0.0), min(y + height, float(image.height))
    beyond = max(left - x, x + width - right, top - y, y + height - bottom)
    if beyond >= ROUNDING or left >= right or top >= bottom:
        raise _BadBox(
            told % f"lie in its image of {image.width} x {image.height} pixels"
        )
    if beyond > 0:
        return left, top, right - left, bottom - top
    return x, y, width, height


def _entries(value: Any, key: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
    if not isinstance(value, dict):
        raise DataError(f"a file of boxes must be a JSON object, got {_brief(value)}")
    entries = value.get(key)
    if not isinstance(entries, list):
        raise DataError(f"{key} must be a list, got {_brief(entries)}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{key}[{index}] must be an object, got {_brief(entry)}")
        yield f"{key}[{index}]", entry


def _whole(entry: Mapping[str, Any], key: str, place: str) -> int:
    value = entry.get(key)
    # COCO's tools hold numbers in 64 bits.
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise DataError(
            f"{place}.{key} must be a whole number of 64 bits, got {_brief(value)}"
        )
    return value


def _text(entry: Mapping[str, Any], key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{place}.{key} must be a text, got {_brief(value)}")
    return value


def _inner_path(entry: Mapping[str, Any], place: str) -> str:
    """Returns an image's file, which must lie below the folder."""
    name = _text(entry, "file_name", place)
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or os.path.isabs(name):
        raise DataError(
            f"{place}.file_name must lie below the folder of images, got {name!r}"
        )
    return name


def _known(
    entry: Mapping[str, Any], key: str, known: Mapping[int, Any], place: str
) -> int:
    value = _whole(entry, key, place)
    if value not in known:
        raise DataError(f"{place}.{key} must be one that the file has, got {value}")
    return value


def _number(value: Any, place: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:  # a whole number with hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{place} must be finite numbers, got {_brief(value)}")
    return number


def _check_unique(values: Iterable[Any], what: str) -> None:
    value, count = max(
        Counter(values).items(), key=lambda item: item[1], default=(0, 0)
    )
    if count > 1:
        raise DataError(f"{what} must be of their own, got {value!r} twice")


_brief: Callable[[Any], str] = reprlib.repr
