"""Labelled images as a training loop takes them: normalised, augmented by a key.

What augmentation does to an image depends on ``(seed, epoch, index)`` alone, so that a
resumed run sees what an uninterrupted one does, whatever loads the images.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
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
Targets = Int[Tensor, " batch"] | Float[Tensor, "batch classes"]


class Purpose(IntEnum):
    """What draws are for; draws for different purposes are independent."""

    ORDER = 0
    SHIFTS = 1
    TRANSFORMS = 2
    ERASURES = 3
    MIXING = 4
    DROPS = 5


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

    @contextmanager
    def lent(self, purpose: Purpose, *index: int) -> Iterator[None]:
        """Lends a seed to the global generator, from which torchvision draws."""
        with torch.random.fork_rng(devices=[]):
            seed = self.generator(purpose, *index).initial_seed()
            # torch.manual_seed would also seed CUDA's, which nothing sets back.
            torch.default_generator.manual_seed(seed)
            yield


@dataclass(frozen=True)
class Augmentation:
    """What is done to a training image beside flips, shifts and crops.

    Args:
        trivial_augment: Whether it takes one change of TrivialAugmentWide.
        random_erasing: Probability that a rectangle of it is set to the mean.
    """

    trivial_augment: bool = False
    random_erasing: float = 0.0

    def before(self) -> list[Callable[[Any], Any]]:
        """Returns what changes an image of 8 bits."""
        if not self.trivial_augment:
            return []
        from torchvision.transforms import InterpolationMode, v2  # slow to import

        # torchvision's reference asks for this; its default is the nearest pixel.
        return [v2.TrivialAugmentWide(interpolation=InterpolationMode.BILINEAR)]

    def after(self) -> list[Callable[[Any], Any]]:
        """Returns what changes a normalised image."""
        if not self.random_erasing:
            return []
        from torchvision.transforms import v2  # slow to import

        return [v2.RandomErasing(p=self.random_erasing)]


PLAIN = Augmentation()
"""Nothing beside flips, shifts and crops."""


@runtime_checkable
class Images(Protocol):
    """Labelled images of one size."""

    def __len__(self) -> int:
        """Returns the number of images."""

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
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
    return torch.stack(changed)


class FolderImages:
    """Images in files, decoded when asked for.

    Augmentation is torchvision's random resized crop and flip, then what is asked for;
    without it an image is resized and its centre cropped, as usual for ImageNet.

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
        self.crop = [v2.RandomResizedCrop(image_size), v2.RandomHorizontalFlip()]
        self.centre = [v2.Resize(image_size * 256 // 224), v2.CenterCrop(image_size)]
        self.finish = [
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(self.mean, self.std),
        ]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.files)

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
        """Returns normalised images with labels, augmented where a key is given."""
        from torchvision.transforms import v2  # slow to import

        steps = [*self.centre, *self.finish]
        if key is not None:
            before, after = augmentation.before(), augmentation.after()
            steps = [*self.crop, *before, *self.finish, *after]
        transform = v2.Compose(steps)
        images = torch.stack([self._image(index, key, transform) for index in indices])
        return images, torch.tensor([self.files[index][1] for index in indices])

    def _image(
        self, index: int, key: Key | None, transform: Callable[[Any], Any]
    ) -> Tensor:
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
        with key.lent(Purpose.TRANSFORMS, index) if key else nullcontext():
            image: Tensor = transform(picture)
        return image


def mixed(
    images: Float[Tensor, "batch channels height width"],
    labels: Int[Tensor, " batch"],
    classes: int,
    key: Key,
    step: int,
    *,
    mixup: float,
    cutmix: float,
) -> tuple[Float[Tensor, "batch channels height width"], Targets]:
    """Returns a batch of which each image is mixed with the one before it.

    MixUp adds the two, CutMix sets a rectangle of one into the other, both with the
    same share for the whole batch; where both are on, each batch draws one of them.
    Targets are then the shares of the classes. One image alone stays as it is.

    Args:
        images: The images.
        labels: The class of each.
        classes: Number of classes.
        key: Names the draws, with the step.
        step: Steps made in the epoch.
        mixup: Alpha of MixUp: the share is drawn from Beta(alpha, alpha); 0 for none.
        cutmix: Alpha of CutMix, likewise.
    """
    if not (mixup or cutmix) or len(labels) < 2:
        return images, labels
    from torchvision.transforms import v2  # slow to import

    kinds = ((v2.MixUp, mixup), (v2.CutMix, cutmix))
    mix = v2.RandomChoice(
        [kind(alpha=alpha, num_classes=classes) for kind, alpha in kinds if alpha]
    )
    with key.lent(Purpose.MIXING, step):
        both: tuple[Tensor, Tensor] = mix(images, labels)
    return both


class _Batched(Dataset[Tensor]):
    """Hands whole batches to a DataLoader, whose workers may be other processes."""

    def __init__(
        self, images: Images, key: Key | None, augmentation: Augmentation
    ) -> None:
        self.images = images
        self.key = key
        self.augmentation = augmentation

    def __getitems__(self, indices: list[int]) -> Batch | DataError:
        # An error that crosses from a worker loses its words to a traceback: it comes
        # as a value instead.
        try:
            return self.images.batch(indices, self.key, self.augmentation)
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
    augmentation: Augmentation = PLAIN,
    workers: int = 0,
    rank: int = 0,
    world_size: int = 1,
    start: int = 0,
) -> Iterator[Batch]:
    """Yields the images in batches; the last may be smaller, or larger by one.

    Args:
        images: The images.
        batch_size: Images in a batch.
        shuffle: Names the order; None for that of the set.
        augment: Whether to augment; needs ``shuffle``.
        augmentation: What is done beside flips, shifts and crops.
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
        _Batched(images, shuffle if augment else None, augmentation),
        batch_sampler=[
            part.tensor_split(world_size)[rank].tolist()
            for part in torch.split(order, batch_sizes(len(order), batch_size))[start:]
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
