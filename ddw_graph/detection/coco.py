"""Data in COCO's format: images in a folder, and a JSON file of their boxes."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset

from ddw_graph.detection.coco_file import Entry, checked_content
from ddw_graph.detection.detector import Boxes, Category
from ddw_graph.detection.images import flipped, read_image
from ddw_graph.errors import DataError, RunError
from ddw_graph.training.bad_images import BadImage, readable, warn
from ddw_graph.training.pictures import UnreadableError
from ddw_graph.training.world import World

BadBoxes = Literal["fail", "skip"]
"""What happens to a box that has no size or is outside its image."""


@dataclass(frozen=True)
class CocoData(Dataset[tuple[Tensor, Boxes]]):
    """Images with boxes: a data set of ``(image, boxes)`` as detectors take them.

    An image is ``(channels, height, width)`` with values in ``[0, 1]``; its ``boxes``
    and ``labels`` leave out crowds, ``image_id`` is its id in the file.

    Args:
        folder: The folder of images.
        content: The checked content of the JSON file: ``images`` and ``categories`` in
            the order of their ids, ``annotations``, ``info``.
        skipped: How many boxes were left out.
        digest: Identifies the file's content.
        channels: 3, or 1 for grey.
        flip: Whether half of the images are flipped left to right, by torch's global
            generator.
        bad: Images that cannot be read, and were left out.
    """

    folder: Path
    content: Entry
    skipped: int
    digest: str
    channels: int = 3
    flip: bool = False
    bad: tuple[BadImage, ...] = ()

    @property
    def images(self) -> list[Entry]:
        """``id``, ``file_name``, ``width`` and ``height`` of each image."""
        images: list[Entry] = self.content["images"]
        return images

    @property
    def categories(self) -> tuple[Category, ...]:
        """The classes."""
        return tuple(Category(**each) for each in self.content["categories"])

    @property
    def synthetic(self) -> bool:
        """Whether the file says that its images are composed."""
        return self.content["info"].get("synthetic") is True

    @cached_property
    def index(self) -> Any:
        """The content as faster-coco-eval's ``COCO``."""
        try:
            from faster_coco_eval import COCO  # an extra
        except ImportError as error:
            raise RunError(
                "COCO's files and figures need faster-coco-eval, which is not "
                "installed: pip install 'ddw_graph[detection]'"
            ) from error
        return COCO(self.content)

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, Boxes]:
        """Returns an image with its boxes.

        Raises:
            UnreadableError: If the image cannot be read, or has another size than in
                the JSON file.
            LostError: If the system cannot read it now, for a reason that passes.
        """
        entry = self.images[index]
        path = self.folder / entry["file_name"]
        size = entry["width"], entry["height"]
        image = read_image(path, self.channels, size=size)
        if (image.shape[2], image.shape[1]) != size:
            height, width = image.shape[1:]
            raise UnreadableError(
                str(path),
                f"it must have {size[0]} x {size[1]} pixels as in the file of boxes, "
                f"got {width} x {height}",
            )
        boxes = self.boxes(index)
        if self.flip and torch.rand(()) < 0.5:
            return flipped(image, boxes)
        return image, boxes

    def boxes(self, index: int) -> Boxes:
        """Returns an image's boxes for training: those that are no crowds."""
        found = self.index.imgToAnns[self.images[index]["id"]]
        objects = [each for each in found if not each["iscrowd"]]
        bounds = torch.tensor([each["bbox"] for each in objects], dtype=torch.float32)
        x, y, width, height = bounds.reshape(-1, 4).unbind(1)
        places = {each.id: place for place, each in enumerate(self.categories, start=1)}
        labels = [places[each["category_id"]] for each in objects]
        return {
            "boxes": torch.stack([x, y, x + width, y + height], 1),
            "labels": torch.tensor(labels, dtype=torch.long),
            "image_id": torch.tensor(self.images[index]["id"]),
        }

    def as_dict(self) -> Entry:
        """Returns what identifies this data, ready for JSON."""
        crowds = sum(each["iscrowd"] for each in self.content["annotations"])
        return {
            "images": len(self),
            "objects": len(self.content["annotations"]) - crowds,
            "crowds": crowds,
            "skipped_boxes": self.skipped,
            "bad_images": len(self.bad),
            "categories": self.content["categories"],
            "synthetic": self.synthetic,
            "digest": self.digest,
        }

    def trainable(self) -> "CocoData":
        """Returns the images that have an object to train on."""
        annotations = self.content["annotations"]
        ids = {each["image_id"] for each in annotations if not each["iscrowd"]}
        if not ids:
            raise DataError(f"an image with an object is needed, got none in {self}")
        return self._of(ids)

    def readable(
        self,
        *,
        workers: int = 0,
        world: World = World(),  # noqa: B008 (frozen)
    ) -> "CocoData":
        """Returns the images that can be read; it reads all of them once.

        Each of the others is named in a warning, and in ``bad``.

        Raises:
            DataError: If none can be read.
            LostError: If the system cannot read one now, for a reason that passes.
        """
        kept, bad = readable(self, workers=workers, world=world)
        if world.leads:
            warn(bad)
        if not isinstance(kept, Subset):
            return self
        ids = {self.images[place]["id"] for place in kept.indices}
        return replace(self._of(ids), bad=bad)

    def _of(self, ids: set[int]) -> "CocoData":
        """Returns the images with some ids, and their boxes."""
        images = [each for each in self.images if each["id"] in ids]
        boxes = [e for e in self.content["annotations"] if e["image_id"] in ids]
        content = self.content | {"images": images, "annotations": boxes}
        return replace(self, content=content)

    def check_categories(self, wanted: Sequence[Category], of: object) -> None:
        """Checks that the categories are those of something else.

        Args:
            wanted: What they should be.
            of: What has those, for the error message.
        """
        own = set(self.categories)
        if own != {*wanted}:
            got, instead = (
                ", ".join(f"{each.id} {each.name!r}" for each in sorted(part)) or "none"
                for part in (own - {*wanted}, {*wanted} - own)
            )
            raise DataError(
                f"categories of {self} must be those of {of}, got {got} in place of "
                f"{instead}"
            )

    def __str__(self) -> str:
        """Returns the folder of images."""
        return str(self.folder)


def coco_split(root: Path, part: str, *, bad_boxes: BadBoxes = "fail") -> CocoData:
    """Returns a part of a data set in COCO's layout.

    That is ``root/train2017`` with ``root/annotations/instances_train2017.json``, or
    the same without the year.

    Args:
        part: ``train`` or ``val``.
    """
    names = part, f"{part}2017"
    for name in names:
        file = root / "annotations" / f"instances_{name}.json"
        if file.exists():
            return coco_data(root / name, file, bad_boxes=bad_boxes)
    raise DataError(
        f"{root} must hold annotations/instances_{names[0]}.json or "
        f"annotations/instances_{names[1]}.json, got neither"
    )


def coco_data(folder: Path, file: Path, *, bad_boxes: BadBoxes = "fail") -> CocoData:
    """Returns the images and boxes of a JSON file in COCO's format.

    Every number and reference is checked; image files are checked when they are read. A
    box that exceeds its image by less than a pixel is cut there.

    Args:
        bad_boxes: ``fail``, or ``skip`` to leave out and count boxes that have no size
            or are outside their image. COCO's own files have such.

    Raises:
        DataError: If something is missing, occurs twice, or refers to nothing. The
            message, of one line, names the file and the place in it.
    """
    if not folder.is_dir():
        raise DataError(f"images must be in a folder, got {folder}")
    try:
        read = file.read_bytes()
        value = json.loads(read)
    except OSError as error:
        raise DataError(f"{file} must be readable, got {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{file} must hold whole JSON, {error}") from error
    try:
        content, skipped = checked_content(value, skip=bad_boxes == "skip")
    except DataError as error:
        raise DataError(f"{file}: {error}") from error
    return CocoData(folder, content, skipped, sha256(read).hexdigest()[:16])
