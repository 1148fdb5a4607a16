"""What an image goes through before a network sees it in evaluation."""

import copy
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from ddw_graph.errors import DataError
from ddw_graph.training.data import ImageData
from ddw_graph.training.encoded import EncodedImages, short_side
from ddw_graph.training.images import ArrayImages, Images
from ddw_graph.training.subsets import Subset


@dataclass(frozen=True)
class Preparation:
    """What an image goes through before a network sees it in evaluation.

    It becomes grey or RGB, its short side is resized, its centre is cropped to a
    square, and of each channel's value in ``[0, 1]`` the mean is taken away and the
    standard deviation divided out.

    Args:
        channels: 1 for grey, 3 for RGB.
        image_size: Height and width after cropping, pixels.
        resize: Short side after resizing, pixels.
        mean: Mean of each channel.
        std: Standard deviation of each channel.

    Raises:
        DataError: If something is out of range, or not as many as channels.

    Example:
        >>> print(Preparation(1, 28, 28, (0.29,), (0.35,)))
        grey, short side resized to 28 px, centre of 28 px, mean 0.29, std 0.35
    """

    channels: int
    image_size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __post_init__(self) -> None:
        """Checks what came."""
        if self.channels not in (1, 3):
            raise DataError(
                f"images of 1 or 3 channels can be read from files, got {self.channels}"
            )
        if not 1 <= self.image_size <= self.resize:
            raise DataError(
                "image_size must be at least 1 and at most resize, got "
                f"image_size={self.image_size}, resize={self.resize}"
            )
        if not len(self.mean) == len(self.std) == self.channels or min(self.std) <= 0:
            raise DataError(
                f"mean and a positive std are needed for each of {self.channels} "
                f"channels, got {self.mean} and {self.std}"
            )

    @classmethod
    def of(cls, data: ImageData) -> "Preparation | None":
        """Returns what a data set does to the images that it tests on.

        None where they are of a kind that does not say, or no grey or RGB images.
        """
        images = _whole(data.test)
        if isinstance(images, EncodedImages):
            size, resize = images.image_size, images.resize
            return cls(images.channels, size, resize, images.mean, images.std)
        if not isinstance(images, ArrayImages) or data.channels not in (1, 3):
            return None
        size = data.image_size
        mean, std = (tuple(v.flatten().tolist()) for v in (images.mean, images.std))
        return cls(data.channels, size, size, mean, std)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preparation":
        """Returns what ``as_dict`` gave.

        Raises:
            DataError: If it is something else.
        """
        try:
            channels, size, resize = (
                int(values[key]) for key in ("channels", "image_size", "resize")
            )
            mean, std = (tuple(map(float, values[key])) for key in ("mean", "std"))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"a preparation needs channels, sizes, mean and std, got {error}"
            ) from error
        return cls(channels, size, resize, mean, std)

    def govern(self, images: EncodedImages) -> None:
        """Makes images in files go through this; those of another size keep theirs."""
        images.channels = self.channels
        images.mean, images.std = self.mean, self.std
        if images.image_size == self.image_size:
            images.resize = self.resize

    def applied(self, data: ImageData) -> ImageData:
        """Returns a data set whose images go through this.

        Pixels in memory are as large, and grey or in colours, as they are: of those the
        mean and the deviation change alone. Images of a kind that does not say what it
        does stay what they are.
        """
        train, test = self._applied(data.train), self._applied(data.test)
        in_files = isinstance(_whole(test), EncodedImages)
        channels = self.channels if in_files else data.channels
        return replace(data, train=train, test=test, channels=channels)

    def _applied(self, images: Images) -> Images:
        if isinstance(images, Subset):
            return Subset(self._applied(images.images), images.indices)
        if isinstance(images, ArrayImages):
            return ArrayImages(images.pixels, images.labels, self.mean, self.std)
        if isinstance(images, EncodedImages):
            images = copy.copy(images)
            self.govern(images)
        return images

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        values = asdict(self)
        return {**values, "mean": list(self.mean), "std": list(self.std)}

    def __str__(self) -> str:
        """Returns it in words."""
        kind = "grey" if self.channels == 1 else "RGB"
        mean, std = (
            ", ".join(f"{value:.4g}" for value in values)
            for values in (self.mean, self.std)
        )
        return (
            f"{kind}, short side resized to {self.resize} px, centre of "
            f"{self.image_size} px, mean {mean}, std {std}"
        )


def _whole(images: Images) -> Images:
    """Returns the set that images are a part of."""
    while isinstance(images, Subset):
        images = images.images
    return images


def of_files(image_size: int) -> Preparation:
    """Returns what images in files go through, as usual for ImageNet.

    Args:
        image_size: Height and width after cropping, pixels.
    """
    mean, std = EncodedImages.mean, EncodedImages.std
    return Preparation(3, image_size, short_side(image_size), mean, std)
