"""Labelled images as a training loop takes them: normalised, augmented by a key.

What augmentation does to an image depends on ``(seed, epoch, index)`` alone, so that a
resumed run sees what an uninterrupted one does, whatever loads the images.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import PLAIN, Augmentation
from ddw_graph.training.keys import Key, Purpose

Batch = tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]


@runtime_checkable
class Images(Protocol):
    """Labelled images of one size; ``labels`` holds the class of each."""

    labels: Tensor

    def __len__(self) -> int:
        """Returns the number of images."""

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
        """Returns normalised images with labels, augmented where a key is given."""


@runtime_checkable
class OrderedImages(Images, Protocol):
    """Images that are best read in an order of their own."""

    def order(self, key: Key) -> Int[Tensor, " images"]:
        """Returns the order in which a key shuffles them."""


def shuffled(images: Images, key: Key) -> Int[Tensor, " images"]:
    """Returns the order in which a key shuffles images."""
    if isinstance(images, OrderedImages):
        return images.order(key)
    return torch.randperm(len(images), generator=key.generator(Purpose.ORDER))


class ArrayImages:
    """Images in memory, augmented by flipping and by shifting.

    Args:
        pixels: The images, 0 to 255.
        labels: The class of each.
        mean: Mean of each channel, of values in ``[0, 1]``.
        std: Standard deviation of each channel.

    Raises:
        DataError: If there is no image, or not a label for each.
    """

    def __init__(
        self,
        pixels: UInt8[Tensor, "images channels height width"],
        labels: Int[Tensor, " images"],
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        if not len(pixels) or len(pixels) != len(labels):
            raise DataError(
                "a set needs at least one image and a label for each, got "
                f"{len(pixels)} images and {len(labels)} labels"
            )
        self.pixels = pixels
        self.labels = labels
        self.mean = torch.tensor(mean)[:, None, None]
        self.std = torch.tensor(std)[:, None, None]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.pixels)

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
        """Returns normalised images with labels, augmented where a key is given.

        An image takes its change of TrivialAugmentWide if asked for, is flipped left to
        right with probability one half, shifted by up to an eighth of its size in each
        direction, and erased if so drawn.
        """
        chosen = torch.as_tensor(indices, dtype=torch.long)
        pixels = self.pixels[chosen]
        if key is not None:
            for change in augmentation.before():
                pixels = _each(pixels, chosen, key, Purpose.TRANSFORMS, change)
        images = (pixels.float() / 255 - self.mean) / self.std
        if key is not None:
            images = self._moved(images, chosen, key)
            for change in augmentation.after():
                images = _each(images, chosen, key, Purpose.ERASURES, change)
        return images, self.labels[chosen]

    def _moved(self, images: Tensor, chosen: Tensor, key: Key) -> Tensor:
        count, height, width = len(self), *images.shape[2:]
        pad = height // 8
        # Drawn for the whole set, so that a draw belongs to an index however batched.
        generator = key.generator(Purpose.SHIFTS)
        flip = torch.rand(count, generator=generator)[chosen] < 0.5
        shift = torch.randint(2 * pad + 1, (2, count), generator=generator)[:, chosen]
        images = torch.where(flip[:, None, None, None], images.flip(3), images)
        # Padding shifts in what the corner of a black image is after normalising.
        black = (-self.mean / self.std)[None]
        padded = black.expand(*images.shape[:2], height + 2 * pad, width + 2 * pad)
        padded = padded.clone()
        padded[:, :, pad : pad + height, pad : pad + width] = images
        rows = shift[0][:, None] + torch.arange(height)
        columns = shift[1][:, None] + torch.arange(width)
        samples = torch.arange(len(images))[:, None, None]
        moved = padded.permute(0, 2, 3, 1)[samples, rows[:, :, None], columns[:, None]]
        return moved.permute(0, 3, 1, 2).contiguous()


def _each(
    images: Tensor,
    chosen: Tensor,
    key: Key,
    purpose: Purpose,
    change: Callable[[Any], Any],
) -> Tensor:
    """Returns images, each changed with draws of its own index."""
    changed = []
    for image, index in zip(images, chosen.tolist(), strict=True):
        with key.lent(purpose, index):
            changed.append(change(image))
    return torch.stack(changed) if changed else images
