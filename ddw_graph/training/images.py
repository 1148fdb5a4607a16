"""Labelled images as a training loop takes them: normalised, augmented by a key.

What augmentation does to an image depends on ``(seed, epoch, index)`` alone, so that a
resumed run sees what an uninterrupted one does, whatever loads the images.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ddw_graph.errors import DataError

Batch = tuple[Float[Tensor, "batch channels height width"], Int[Tensor, " batch"]]


class Purpose(IntEnum):
    """What draws are for; draws for different purposes are independent."""

    ORDER = 0
    SHIFTS = 1
    TRANSFORMS = 2


@dataclass(frozen=True)
class Key:
    """Names the draws of one epoch.

    Args:
        seed: Seed of the run, in ``[0, 2**32)``: a larger one would take the place of
            the epoch among the words that seed a generator.
        epoch: The epoch.
    """

    seed: int
    epoch: int

    def generator(self, purpose: Purpose, *index: int) -> torch.Generator:
        """Returns a generator of its own for this key, a purpose and an index."""
        words = np.random.SeedSequence((self.seed, self.epoch, purpose, *index))
        return torch.Generator().manual_seed(int(words.generate_state(1)[0]))


@runtime_checkable
class Images(Protocol):
    """Labelled images of one size."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def batch(self, indices: Sequence[int], key: Key | None) -> Batch:
        """Returns normalised images with labels, augmented where a key is given."""


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

    def batch(self, indices: Sequence[int], key: Key | None) -> Batch:
        """Returns normalised images with labels, augmented where a key is given.

        An image is flipped left to right with probability one half, and shifted by up
        to an eighth of its size in each direction.
        """
        chosen = torch.as_tensor(indices)
        images = (self.pixels[chosen].float() / 255 - self.mean) / self.std
        if key is not None:
            images = self._augmented(images, chosen, key)
        return images, self.labels[chosen]

    def _augmented(self, images: Tensor, chosen: Tensor, key: Key) -> Tensor:
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


class FolderImages:
    """Images in files, decoded when asked for.

    Augmentation is torchvision's random resized crop and flip; without it an image is
    resized and its centre cropped, as usual for ImageNet.

    Args:
        files: Path and class of each image.
        image_size: Height and width after cropping, pixels.

    Raises:
        DataError: If there is no image, or, from ``batch``, a file is not a readable
            one.
    """

    mean = (0.485, 0.456, 0.406)
    std = (0.229, 0.224, 0.225)

    def __init__(self, files: Sequence[tuple[Path, int]], image_size: int) -> None:
        from torchvision.transforms import v2  # slow to import

        if not files:
            raise DataError("a set needs at least one image, got none")
        self.files = files
        finish = [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(self.mean, self.std),
        ]
        self.train = v2.Compose(
            [v2.RandomResizedCrop(image_size), v2.RandomHorizontalFlip(), *finish]
        )
        self.evaluate = v2.Compose(
            [v2.Resize(image_size * 256 // 224), v2.CenterCrop(image_size), *finish]
        )

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.files)

    def batch(self, indices: Sequence[int], key: Key | None) -> Batch:
        """Returns normalised images with labels, augmented where a key is given."""
        images = torch.stack([self._image(index, key) for index in indices])
        return images, torch.tensor([self.files[index][1] for index in indices])

    def _image(self, index: int, key: Key | None) -> Tensor:
        from PIL import Image  # comes with torchvision

        path = self.files[index][0]
        try:
            # What Pillow warns of, it reads all the same.
            with warnings.catch_warnings(action="ignore"), Image.open(path) as file:
                if file.mode.startswith(("I", "F")):
                    raise ValueError(f"8 bits a channel are read, not mode {file.mode}")
                picture = file.convert("RGB")
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ) as error:
            message = f"{path}: every file must be a readable image ({error})"
            raise DataError(" ".join(message.split())) from error
        if key is None:
            image: Tensor = self.evaluate(picture)
            return image
        # torchvision's transforms draw from the global generator: lend it our seed.
        with torch.random.fork_rng(devices=[]):
            generator = key.generator(Purpose.TRANSFORMS, index)
            torch.manual_seed(generator.initial_seed())
            image = self.train(picture)
        return image


class _Batched(Dataset[Tensor]):
    """Hands whole batches to a DataLoader, whose workers may be other processes."""

    def __init__(self, images: Images, key: Key | None) -> None:
        self.images = images
        self.key = key

    def __getitems__(self, indices: list[int]) -> Batch | DataError:
        # An error that crosses from a worker loses its words to a traceback: it comes
        # as a value instead.
        try:
            return self.images.batch(indices, self.key)
        except DataError as error:
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def batch_sizes(images: int, batch_size: int) -> list[int]:
    """Returns the sizes of the batches of a set.

    A last batch of one joins the batch before it: batch normalisation has nothing to
    normalise one image by where its features are of one pixel.

    Example:
        >>> batch_sizes(10, 4), batch_sizes(9, 4)
        ([4, 4, 2], [4, 5])
    """
    whole, rest = divmod(images, batch_size)
    sizes = [batch_size] * whole + [rest] * (rest > 0)
    if len(sizes) > 1 and sizes[-1] == 1:
        sizes[-2:] = [sizes[-2] + 1]
    return sizes


def batches(
    images: Images,
    batch_size: int,
    *,
    shuffle: Key | None = None,
    augment: bool = False,
    workers: int = 0,
) -> Iterator[Batch]:
    """Yields the images in batches; the last may be smaller, or larger by one.

    Args:
        images: The images.
        batch_size: Images in a batch.
        shuffle: Names the order; None for that of the set.
        augment: Whether to augment; needs ``shuffle``.
        workers: Processes that load; 0 for this one.

    Raises:
        DataError: If an image cannot be read.
    """
    order = (
        torch.arange(len(images))
        if shuffle is None
        else torch.randperm(len(images), generator=shuffle.generator(Purpose.ORDER))
    )
    loader: DataLoader[Tensor] = DataLoader(
        _Batched(images, shuffle if augment else None),
        batch_sampler=[
            part.tolist()
            for part in torch.split(order, batch_sizes(len(order), batch_size))
        ],
        num_workers=workers,
        collate_fn=_as_it_is,
        # Of its own, so that making a loader leaves the global generator alone.
        generator=torch.Generator().manual_seed(0),
    )
    for batch in loader:
        if isinstance(batch, DataError):
            raise batch
        yield batch
