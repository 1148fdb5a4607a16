"""The checks of a JSON file in COCO's format."""

import math
import os
import reprlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from ddw_graph.errors import DataError

ROUNDING = 1.0
"""Pixels by which a box may exceed its image, since files hold rounded numbers."""

Entry = dict[str, Any]


def checked_content(value: Any, *, skip: bool) -> tuple[Entry, int]:
    """Returns the content that detection uses, and the number of bad boxes left out.

    Args:
        value: What the JSON file holds.
        skip: Whether to leave out boxes that have no size or are outside their image.
    """
    categories: list[Entry] = [
        {"id": _whole(entry, "id", place), "name": _text(entry, "name", place)}
        for place, entry in _entries(value, "categories")
    ]
    images = [_image(entry, place) for place, entry in _entries(value, "images")]
    for key, found in (("categories", categories), ("images", images)):
        if not found:
            raise DataError(f"{key} must hold at least one entry, got none")
        _check_unique([entry["id"] for entry in found], f"ids of {key}")
        found.sort(key=lambda entry: entry["id"])
    _check_unique([image["file_name"] for image in images], "file names of images")
    sizes = {image["id"]: (image["width"], image["height"]) for image in images}
    known = {category["id"] for category in categories}
    ids, annotations, skipped = [], [], 0
    for place, entry in _entries(value, "annotations"):
        ids.append(_whole(entry, "id", place))
        try:
            annotations.append(_annotation(entry, place, sizes, known))
        except _BadBox:
            if not skip:
                raise
            skipped += 1
    _check_unique(ids, "ids of annotations")
    # COCO's tools take id 0 for none.
    annotations = [each | {"id": n} for n, each in enumerate(annotations, start=1)]
    info = value["info"] if isinstance(value.get("info"), dict) else {}
    content = {"info": info, "images": images, "annotations": annotations}
    return content | {"categories": categories}, skipped


class _BadBox(DataError):
    """A box has no size, or is outside its image."""


def _image(entry: Entry, place: str) -> Entry:
    number, width, height = (
        _whole(entry, key, place) for key in ("id", "width", "height")
    )
    if width < 1 or height < 1:
        raise DataError(f"{place} must have a size, got {width} x {height} pixels")
    name = _text(entry, "file_name", place)
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or os.path.isabs(name):
        raise DataError(
            f"{place}.file_name must be below the folder of images, got {name!r}"
        )
    return {"id": number, "file_name": name, "width": width, "height": height}


def _annotation(
    entry: Entry, place: str, sizes: Mapping[int, tuple[int, int]], categories: set[int]
) -> Entry:
    image, category = (_whole(entry, k, place) for k in ("image_id", "category_id"))
    for key, number, known in (
        ("image_id", image, sizes),
        ("category_id", category, categories),
    ):
        if number not in known:
            raise DataError(f"{place}.{key} must be an id in the file, got {number}")
    bounds = _bounds(entry.get("bbox"), f"{place}.bbox", *sizes[image])
    area = entry.get("area")
    area = bounds[2] * bounds[3] if area is None else _number(area, f"{place}.area")
    if area < 0:
        raise DataError(f"{place}.area must be at least 0, got {area}")
    crowd = entry.get("iscrowd")
    if crowd is not None and (type(crowd) not in (int, bool) or crowd not in (0, 1)):
        raise DataError(f"{place}.iscrowd must be 0 or 1, got {_brief(crowd)}")
    return {
        "image_id": image,
        "category_id": category,
        "bbox": bounds,
        "area": area,
        "iscrowd": int(crowd or 0),
    }


def _bounds(box: Any, place: str, columns: int, rows: int) -> list[float]:
    """Returns x, y, width and height of a box, within its image."""
    if not isinstance(box, list) or len(box) != 4:
        raise DataError(f"{place} must be x, y, width and height, got {_brief(box)}")
    x, y, width, height = (_number(each, place) for each in box)
    if width <= 0 or height <= 0:
        raise _BadBox(f"{place} must have a size, got {box}")
    left, right = max(x, 0.0), min(x + width, float(columns))
    top, bottom = max(y, 0.0), min(y + height, float(rows))
    beyond = max(left - x, x + width - right, top - y, y + height - bottom)
    if beyond >= ROUNDING or left >= right or top >= bottom:
        raise _BadBox(
            f"{place} must be in its image of {columns} x {rows} pixels, got {box}"
        )
    if beyond > 0:
        return [left, top, right - left, bottom - top]
    return [x, y, width, height]


def _entries(value: Any, key: str) -> Iterator[tuple[str, Entry]]:
    if not isinstance(value, dict):
        raise DataError(f"a file of boxes must be a JSON object, got {_brief(value)}")
    entries = value.get(key)
    if not isinstance(entries, list):
        raise DataError(f"{key} must be a list, got {_brief(entries)}")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(f"{key}[{index}] must be an object, got {_brief(entry)}")
        yield f"{key}[{index}]", entry


def _whole(entry: Entry, key: str, place: str) -> int:
    value = entry.get(key)
    # COCO's tools hold numbers in 64 bits.
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise DataError(
            f"{place}.{key} must be a whole number of 64 bits, got {_brief(value)}"
        )
    return value


def _text(entry: Entry, key: str, place: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise DataError(f"{place}.{key} must be text, got {_brief(value)}")
    # JSON can hold half of a surrogate pair, which no file system or terminal takes.
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise DataError(f"{place}.{key} must be whole characters, got {_brief(value)}")
    return value


def _number(value: Any, place: str) -> float:
    try:
        number = float(value) if type(value) in (int, float) else math.nan
    except OverflowError:  # a whole number with hundreds of digits
        number = math.inf
    if not math.isfinite(number):
        raise DataError(f"{place} must be finite numbers, got {_brief(value)}")
    return number


def _check_unique(values: Sequence[Any], what: str) -> None:
    value, count = max(
        Counter(values).items(), key=lambda item: item[1], default=(0, 0)
    )
    if count > 1:
        raise DataError(f"{what} must be different, got {value!r} twice")


_brief = reprlib.repr
