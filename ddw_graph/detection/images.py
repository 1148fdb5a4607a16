"""Images of any size for detectors: read from files, and flipped with their boxes."""

from pathlib import Path

import torch
from torch import Tensor

from ddw_graph.detection.detector import Boxes
from ddw_graph.training.pictures import decoded, picture


def read_image(
    path: Path, channels: int, *, size: tuple[int, int] | None = None
) -> Tensor:
    """Returns the image in a file, ``(channels, height, width)``, in ``[0, 1]``.

    It is turned by the orientation in its EXIF, as viewers show it, unless only the
    stored image has the given size: then its boxes were drawn on that one.

    Args:
        size: Expected width and height.
    """
    from torchvision.transforms.v2 import functional  # slow to import

    image = picture(str(path), path.read_bytes)
    if size is not None and image.size != size:
        stored = decoded(path.read_bytes(), upright=False)
        image = stored if stored.size == size else image
    pixels = functional.pil_to_tensor(image.convert("L") if channels == 1 else image)
    scaled: Tensor = functional.to_dtype(pixels, torch.float32, scale=True)
    return scaled


def flipped(image: Tensor, boxes: Boxes) -> tuple[Tensor, Boxes]:
    """Returns an image and its boxes, flipped left to right."""
    x1, y1, x2, y2 = boxes["boxes"].unbind(1)
    width = image.shape[-1]
    turned = torch.stack([width - x2, y1, width - x1, y2], 1)
    return image.flip(-1), boxes | {"boxes": turned}
