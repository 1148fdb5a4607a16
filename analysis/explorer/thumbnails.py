"""Thumbnails of the images that a network was given, on one sheet."""

import base64
import io
import math
from typing import Any

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
    """

    def __init__(self) -> None:
        self.images: list[Tensor] = []
        self.lows: list[Tensor] = []
        self.highs: list[Tensor] = []

    def add(self, batch: Float[Tensor, "batch channels height width"]) -> None:
        """Adds a batch of images."""
        batch = batch.detach().float().cpu()
        if batch.shape[1] != 3:
            batch = batch.mean(1, keepdim=True)
        self.lows.append(batch.amin((0, 2, 3)))
        self.highs.append(batch.amax((0, 2, 3)))
        size = min(LARGEST, max(batch.shape[2:]))
        if batch.shape[2:] != (size, size):
            batch = functional.interpolate(batch, (size, size), mode="area")
        self.images.append(batch.half())

    def sheet(self) -> dict[str, Any]:
        """Returns the ``sheet``, a PNG in a data URI, and how many are in a row.

        Thumbnails stand row by row in the order in which they were added.
        """
        from PIL import Image  # both are slow to import
        from torchvision.utils import make_grid

        low = torch.stack(self.lows).amin(0)[:, None, None]
        span = torch.stack(self.highs).amax(0)[:, None, None] - low
        span = span.clamp(min=torch.finfo(torch.float32).tiny)
        # Batch by batch, since in full precision many images take much memory.
        shades = (((batch.float() - low) / span).clamp(0, 1) for batch in self.images)
        images = torch.cat([(255 * each).round().byte() for each in shades])
        count, channels = images.shape[:2]
        columns = math.ceil(math.sqrt(count))
        # Of grey images it makes three channels.
        sheet = make_grid(images, columns, padding=0)[:channels]
        array = sheet.permute(1, 2, 0).squeeze(2).contiguous().numpy()
        file = io.BytesIO()
        Image.fromarray(array).save(file, "PNG", optimize=count <= 1000)
        png = base64.b64encode(file.getvalue()).decode()
        return {"sheet": f"data:image/png;base64,{png}", "columns": columns}
