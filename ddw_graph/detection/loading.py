"""Batches of images with their boxes."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.detection.coco import CocoData, CocoImage
from ddw_graph.detection.detector import Boxes
from ddw_graph.errors import DataError
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import loaded
from ddw_graph.training.pictures import decoded, reason_of

Batch = tuple[list[int], list[Tensor], list[Boxes]]
"""Places in the data, images with values in ``[0, 1]``, and boxes to train on."""


def batches(
    data: CocoData,
    parts: Sequence[Sequence[int]],
    *,
    channels: int = 3,
    flip: Key | None = None,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yields images with their boxes.

    Args:
        data: The images.
        parts: Places of the images of each batch.
        channels: 3, or 1 for grey.
        flip: Names the draws by which each second image is flipped left to right; None
            for none.
        workers: Processes that load; 0 for this one.

    Raises:
        DataError: If an image cannot be read, or has another size than is told.
        RunError: If a process that loads is killed.
    """
    made = _Batched(data, channels, flip)
    yield from loaded(made, [list(part) for part in parts], workers=workers)


def read_image(
    path: Path, channels: int, *, size: tuple[int, int] | None = None
) -> Tensor:
    """Returns the image in a file, ``(channels, height, width)``, in ``[0, 1]``.

    It is turned as the orientation in its EXIF says, as those saw it who drew its
    boxes; but where the image as it is stored has the size that is told, boxes are of
    that one.

    Args:
        path: The file.
        channels: 3, or 1 for grey.
        size: Width and height that are told of it, if any.

    Raises:
        DataError: If the file cannot be read, or holds no image, or one of which a side
            is more than ``MOST_LONG`` times the other.
    """
    from torchvision.transforms.v2 import functional  # slow to import

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: every image must be there ({error.strerror})"
        ) from error
    try:
        picture = decoded(content)
        if size is not None and picture.size != size:
            stored = decoded(content, upright=False)
            picture = stored if stored.size == size else picture
        picture = picture.convert("L") if channels == 1 else picture
        image: Tensor = functional.to_dtype(
            functional.pil_to_tensor(picture), torch.float32, scale=True
        )
    except MemoryError:  # says nothing of the image
        raise
    except Exception as error:  # a damaged file can make Pillow raise anything
        raise DataError(
            f"{path}: every file must be a readable image ({reason_of(error)})"
        ) from error
    return image


def boxes_of(image: CocoImage) -> Boxes:
    """Returns the boxes of an image to train on, as torchvision's detectors take them.

    Example:
        >>> from ddw_graph.detection.coco import Box
        >>> boxes_of(CocoImage(1, "a.png", 9, 9, (Box(0, (1, 2, 3, 4), 12.0),)))
        {'boxes': tensor([[1., 2., 4., 6.]]), 'labels': tensor([1])}
    """
    bounds = torch.tensor([box.bounds for box in image.objects], dtype=torch.float32)
    bounds = bounds.reshape(-1, 4)
    labels = [box.category + 1 for box in image.objects]
    return {
        "boxes": torch.cat([bounds[:, :2], bounds[:, :2] + bounds[:, 2:]], 1),
        "labels": torch.tensor(labels, dtype=torch.long),
    }


def flipped(image: Tensor, boxes: Boxes) -> tuple[Tensor, Boxes]:
    """Returns an image and its boxes, flipped left to right."""
    x1, y1, x2, y2 = boxes["boxes"].unbind(1)
    width = image.shape[-1]
    turned = torch.stack([width - x2, y1, width - x1, y2], 1)
    return image.flip(-1), boxes | {"boxes": turned}


class _Batched(Dataset[Any]):
    """Hands whole batches to a DataLoader, whose workers may be other processes."""

    def __init__(self, data: CocoData, channels: int, flip: Key | None) -> None:
        self.data, self.channels, self.flip = data, channels, flip

    def __getitems__(self, places: list[int]) -> Batch | DataError:
        try:
            pairs = [self._pair(place) for place in places]
        except DataError as error:
            return error
        return places, [image for image, _ in pairs], [boxes for _, boxes in pairs]

    def _pair(self, place: int) -> tuple[Tensor, Boxes]:
        told = self.data.images[place]
        path = self.data.folder / told.name
        size = told.width, told.height
        image = read_image(path, self.channels, size=size)
        boxes = boxes_of(told)
        height, width = image.shape[-2:]
        if (width, height) != size:
            raise DataError(
                f"{path} must have {told.width} x {told.height} pixels as the file of "
                f"boxes tells, got {width} x {height}"
            )
        if self.flip is not None:
            draws = self.flip.generator(Purpose.TRANSFORMS, place)
            if torch.rand((), generator=draws) < 0.5:
                return flipped(image, boxes)
        return image, boxes
