"""The checks of a JSON file in COCO's format."""

import math
import os
import reprlib
from collections import Counter
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

from ddw_graph.errors import DataError

ROUNDING = 1.0
"""Pixels by which a box may exceed its image, since files hold rounded numbers."""

Entry = dict[str, Any]
Rule = tuple[str, Callable[[Any], bool]]


def _is_whole(value: Any) -> bool:
    # COCO's tools hold numbers in 64 bits.
    return type(value) is int and -(2**63) <= value < 2**63


def _is_number(value: Any) -> bool:
    try:
        return type(value) in (int, float) and math.isfinite(value)
    except OverflowError:  # a whole number with hundreds of digits
        return False


def _is_text(value: Any) -> bool:
    # JSON can hold half of a surrogate pair, which no file system or terminal takes.
    return isinstance(value, str) and not any("\ud800" <= c <= "\udfff" for c in value)


def _is_below(value: Any) -> bool:
    if not _is_text(value) or not value or "\0" in value:
        return False
    path = PurePosixPath(value)
    return not (path.is_absolute() or os.path.isabs(value) or ".." in path.parts)


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(_is_number, value))


WHOLE: Rule = "a whole number of 64 bits", _is_whole
TEXT: Rule = "a text of whole characters", lambda v: _is_text(v) and bool(v)
FILE: Rule = "a file below the folder of images, of whole characters", _is_below
SIZE: Rule = "a whole number of pixels, at least 1", lambda v: _is_whole(v) and v > 0
BOX: Rule = "finite numbers: x, y, width and height", _is_box
AREA: Rule = (
    "a finite number, at least 0",
    lambda v: v is None or (_is_number(v) and v >= 0),
)
CROWD: Rule = "0 or 1", lambda v: v is None or (type(v) in (int, bool) and v in (0, 1))

FORM: dict[str, dict[str, Rule]] = {
    "categories": {"id": WHOLE, "name": TEXT},
    "images": {"id": WHOLE, "file_name": FILE, "width": SIZE, "height": SIZE},
    "annotations": {
        **{"id": WHOLE, "image_id": WHOLE, "category_id": WHOLE},
        **{"bbox": BOX, "area": AREA, "iscrowd": CROWD},
    },
}
"""The entries of each list that detection uses, with their rules."""


def checked_content(value: Any, *, skip: bool) -> tuple[Entry, int]:
    """Returns the content that detection uses, and the number of bad boxes left out.

    Args:
        value: What the JSON file holds.
        skip: Whether to leave out boxes that have no size or are outside their image.
    """
    if not isinstance(value, dict):
        raise DataError(
            f"a file of boxes must be a JSON object, got {reprlib.repr(value)}"
        )
    content: Entry = {key: _entries(value.get(key), key) for key in FORM}
    for key in ("categories", "images"):
        if not content[key]:
            raise DataError(f"{key} must hold at least one entry, got none")
        content[key].sort(key=lambda entry: entry["id"])
    for key, name in (*((key, "id") for key in FORM), ("images", "file_name")):
        _check_unique(content[key], key, name)
    images = {image["id"]: image for image in content["images"]}
    known = {
        "image_id": set(images),
        "category_id": {each["id"] for each in content["categories"]},
    }
    annotations: list[Entry] = []
    skipped = 0
    for place, entry in enumerate(content["annotations"]):
        for key, ids in known.items():
            if entry[key] not in ids:
                raise DataError(
                    f"annotations[{place}].{key} must be an id in the file, got "
                    f"{entry[key]}"
                )
        box, rule = _box_within(entry["bbox"], images[entry["image_id"]])
        if rule and not skip:
            raise DataError(
                f"annotations[{place}].bbox must {rule}, got {entry['bbox']}"
            )
        if rule:
            skipped += 1
            continue
        area = entry["area"]
        entry |= {
            "id": len(annotations) + 1,  # COCO's tools take id 0 for none
            "bbox": box,
            "area": box[2] * box[3] if area is None else float(area),
            "iscrowd": int(entry["iscrowd"] or 0),
        }
        annotations.append(entry)
    info = value["info"] if isinstance(value.get("info"), dict) else {}
    return content | {"info": info, "annotations": annotations}, skipped


def _entries(entries: Any, key: str) -> list[Entry]:
    """Returns the entries of a list, with the keys of its form."""
    if not isinstance(entries, list):
        raise DataError(f"{key} must be a list, got {reprlib.repr(entries)}")
    for place, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise DataError(
                f"{key}[{place}] must be an object, got {reprlib.repr(entry)}"
            )
        for name, (rule, holds) in FORM[key].items():
            if not holds(entry.get(name)):
                raise DataError(
                    f"{key}[{place}].{name} must be {rule}, got "
                    f"{reprlib.repr(entry.get(name))}"
                )
    return [{name: entry.get(name) for name in FORM[key]} for entry in entries]


def _box_within(box: list[float], image: Entry) -> tuple[list[float], str]:
    """Returns a box cut to its image, and the rule that it breaks, or an empty text."""
    x, y, width, height = map(float, box)
    if width <= 0 or height <= 0:
        return box, "have a size"
    columns, rows = image["width"], image["height"]
    left, right = max(x, 0.0), min(x + width, float(columns))
    top, bottom = max(y, 0.0), min(y + height, float(rows))
    beyond = max(left - x, x + width - right, top - y, y + height - bottom)
    if beyond >= ROUNDING or left >= right or top >= bottom:
        return box, f"be in its image of {columns} x {rows} pixels"
    if beyond > 0:
        return [left, top, right - left, bottom - top], ""
    return [x, y, width, height], ""


def _check_unique(entries: list[Entry], key: str, name: str) -> None:
    counts = Counter(entry[name] for entry in entries).most_common(1)
    if counts and counts[0][1] > 1:
        what = {"id": "ids", "file_name": "file names"}[name]
        raise DataError(
            f"{what} of {key} must be different, got {counts[0][0]!r} twice"
        )
