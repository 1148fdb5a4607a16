"""Thumbnails of the images that a network was given, on one sheet."""

import base64
import io
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

LARGEST = 48
"""Pixels of a thumbnail's side, at most."""


class Thumbnails:
    """Makes one sheet of batches of images.

    What normalising did to the pixels is undone channel by channel: the darkest value
    of all images is black, the brightest white.

    Args:
        size: The largest side, pixels.
    """

    def __init__(self, size: int = LARGEST) -> None:
        self.largest = size
        self.images: list[Tensor] = []
        self.low: Tensor | None = None
        self.high: Tensor | None = None

    def __len__(self) -> int:
        """Returns the number of images."""
        return sum(map(len, self.images))

    def add(self, batch: Float[Tensor, "batch channels height width"]) -> None:
        """Adds a batch of images."""
        batch = batch.detach().float().cpu()
        if batch.shape[1] != 3:
            batch = batch.mean(1, keepdim=True)
        low, high = batch.amin((0, 2, 3)), batch.amax((0, 2, 3))
        self.low = low if self.low is None else torch.minimum(self.low, low)
        self.high = high if self.high is None else torch.maximum(self.high, high)
        size = min(self.largest, max(batch.shape[2:]))
        if batch.shape[2:] != (size, size):
            batch = functional.interpolate(batch, (size, size), mode="area")
        self.images.append(batch.half())

    def sheet(self) -> tuple[bytes, int, int]:
        """Returns the sheet as PNG, the side of a thumbnail, and thumbnails in a row.

        Thumbnails stand row by row in the order in which they were added.
        """
        from PIL import Image  # both are slow to import
        from torchvision.utils import make_grid

        assert self.low is not None and self.high is not None, "an image was added"
        low, high = self.low[:, None, None], self.high[:, None, None]
        span = (high - low).clamp(min=torch.finfo(torch.float32).tiny)
        # Batch by batch, since in full precision many images take much memory.
        shades = (((batch.float() - low) / span).clamp(0, 1) for batch in self.images)
        images = torch.cat([(255 * each).round().byte() for each in shades])
        count, channels, size, _ = images.shape
        columns = math.ceil(math.sqrt(count))
        # Of grey images it makes three channels.
        sheet = make_grid(images, columns, padding=0)[:channels]
        array = sheet.permute(1, 2, 0).squeeze(2).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG", optimize=count <= 1000)
        return file.getvalue(), size, columns


def data_uri(png: bytes) -> str:
    """Returns a PNG as the address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"
