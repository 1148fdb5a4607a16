"""What an image goes through before a network sees it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.nn.conventions import MEAN, STD
from ddw_graph.training.keys import Key
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.subsets import own_order

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Transform:
    """What an image of 8 bits goes through before a network sees it.

    It becomes grey or RGB, its short side is resized, its centre is cropped to a
    square, and each channel's value in ``[0, 1]`` is normalised by mean and standard
    deviation. A tensor that has the size already is normalised only.

    Args:
        channels: 1 for grey, 3 for RGB; others for tensors only.
        image_size: Height and width after cropping, pixels.
        resize: Short side after resizing, pixels.
        crop: Whether training takes random resized crops; otherwise it shifts images by
            up to an eighth of their size.

    Raises:
        DataError: If a value is out of range, or there are not as many as channels.

    Example:
        >>> print(Transform(1, 28, 28, (0.29,), (0.35,)))
        grey, short side resized to 28 px, centre of 28 px, mean 0.29, std 0.35
    """

    channels: int
    image_size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: bool = False

    def __post_init__(self) -> None:
        """Checks the values."""
        if not 1 <= self.image_size <= self.resize:
            raise DataError(
                "image_size must be at least 1 and at most resize, got "
                f"image_size={self.image_size}, resize={self.resize}"
            )
        if not len(self.mean) == len(self.std) == self.channels > 0:
            raise DataError(
                f"mean and std must have {self.channels} values, one for each channel, "
                f"got {self.mean} and {self.std}"
            )
        if not min(self.std) > 0:
            raise DataError(f"std must be positive, got {self.std}")

    @classmethod
    def of_files(cls, image_size: int) -> "Transform":
        """Returns the usual one for image files, that of ImageNet.

        Example:
            >>> Transform.of_files(224).resize
            256
        """
        return cls(3, image_size, image_size * 256 // 224, MEAN, STD, crop=True)

    @classmethod
    def from_dict(cls, values: Any) -> "Transform":
        """Returns the transform that ``as_dict`` describes.

        Raises:
            DataError: If the values are of another kind.
        """
        try:
            channels, size, resize = (
                int(values[key]) for key in ("channels", "image_size", "resize")
            )
            mean, std = (tuple(map(float, values[key])) for key in ("mean", "std"))
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"a transform must have channels, sizes, mean and std, got {error!r}"
            ) from error
        return cls(channels, size, resize, mean, std, bool(values.get("crop", False)))

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        values = asdict(self)
        return {**values, "mean": list(self.mean), "std": list(self.std)}

    def __str__(self) -> str:
        """Describes what happens in evaluation."""
        kind = {1: "grey", 3: "RGB"}.get(self.channels, f"{self.channels} channels")
        mean, std = (
            ", ".join(f"{value:.4g}" for value in values)
            for values in (self.mean, self.std)
        )
        return (
            f"{kind}, short side resized to {self.resize} px, centre of "
            f"{self.image_size} px, mean {mean}, std {std}"
        )

    def __call__(
        self, image: "Image | Tensor"
    ) -> Float[Tensor, "*batch channels height width"]:
        """Returns an image, or several of one size, as evaluation uses them.

        Args:
            image: A PIL image, or a uint8 tensor ``(..., channels, height, width)``.

        Raises:
            DataError: If it cannot be made to have these channels.
        """
        return self._normalised(self._fitted(image))

    def augmentation(self, recipe: Recipe) -> Callable[[Any], Tensor]:
        """Returns what an image goes through in training.

        It is cropped or shifted and flipped, changed as the recipe asks, and
        normalised. What is drawn comes from torch's global generator.
        """
        from torchvision.transforms import InterpolationMode, v2  # slow to import

        steps: list[Callable[[Any], Any]] = [self._fitted, self._shifted]
        if self.crop:
            crop = v2.RandomResizedCrop(self.image_size)
            steps = [self._coloured, crop, v2.RandomHorizontalFlip()]
        # torchvision's reference asks for this; its default is the nearest pixel.
        smooth = InterpolationMode.BILINEAR
        if recipe.trivial_augment:
            steps.append(v2.TrivialAugmentWide(interpolation=smooth))
        if recipe.rand_augment is not None:
            steps.append(
                v2.RandAugment(magnitude=recipe.rand_augment, interpolation=smooth)
            )
        steps.append(self._normalised)
        if recipe.random_erasing:
            steps.append(v2.RandomErasing(p=recipe.random_erasing))
        composed: Callable[[Any], Tensor] = v2.Compose(steps)
        return composed

    def _coloured(self, image: "Image | Tensor") -> "Image | Tensor":
        """Returns an image in grey or RGB, as the network takes it."""
        found = image.shape[-3] if isinstance(image, Tensor) else len(image.getbands())
        if found == self.channels:
            return image
        if not {found, self.channels} <= {1, 3}:
            raise DataError(f"images must have {self.channels} channels, got {found}")
        from torchvision.transforms import v2  # slow to import

        converted: Image | Tensor
        converted = (v2.Grayscale() if self.channels == 1 else v2.RGB())(image)
        return converted

    def _fitted(self, image: "Image | Tensor") -> "Image | Tensor":
        """Returns the centre of an image."""
        image, size = self._coloured(image), self.image_size
        fits = isinstance(image, Tensor) and image.shape[-2:] == (size, size)
        if fits and self.resize == size:
            return image
        from torchvision.transforms.v2 import functional  # slow to import

        resized = functional.resize(image, [self.resize])
        centre: Image | Tensor = functional.center_crop(resized, [size, size])
        return centre

    def _shifted(self, image: "Image | Tensor") -> Tensor:
        """Returns an image flipped by chance, and shifted over a black border.

        torchvision's ``RandomCrop`` and ``RandomHorizontalFlip`` do the same; with them
        a sample of 28 px takes four times as long.
        """
        image, size = _pixels(image), self.image_size
        pad = size // 8
        flip, *places = torch.rand(3).tolist()
        top, left = (int(place * (2 * pad + 1)) for place in places)
        if flip < 0.5:
            image = image.flip(-1)
        padded = torch.nn.functional.pad(image, [pad] * 4)
        return padded[..., top : top + size, left : left + size]

    def _normalised(self, image: "Image | Tensor") -> Tensor:
        mean, std = self._statistics
        pixels = _pixels(image).float()
        # As torchvision does for pictures: the last digit is another.
        values = pixels / 255 if isinstance(image, Tensor) else pixels * (1 / 255)
        return (values - mean) / std

    @cached_property
    def _statistics(self) -> tuple[Tensor, Tensor]:
        mean, std = torch.tensor([self.mean, self.std])[..., None, None]
        return mean, std


def _pixels(image: "Image | Tensor") -> Tensor:
    if isinstance(image, Tensor):
        return image
    from torchvision.transforms.v2 import functional  # slow to import

    pixels: Tensor = functional.pil_to_tensor(image)
    return pixels


class Inputs(Dataset[tuple[Tensor, Any]]):
    """Images of a data set as a network sees them, with their labels.

    Args:
        dataset: Images and labels.
        transform: What an image of 8 bits goes through; None leaves images unchanged.
        augment: The recipe whose augmentation images get; None for none.
        classes: Number of classes, to check labels.
        shape: Shape that every image must have.

    Raises:
        DataError: If images without a transform are to be augmented.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        transform: Transform | None,
        augment: Recipe | None = None,
        *,
        classes: int | None = None,
        shape: tuple[int, int, int] | None = None,
    ) -> None:
        if transform is None and augment is not None:
            raise DataError(
                "augment needs 8-bit images, got a data set whose tensors go to the "
                "network unchanged: augment them in the data set itself"
            )
        self.dataset = dataset
        self.classes, self.shape = classes, shape
        self.transform: Callable[[Any], Tensor] | None = transform
        if transform is not None and augment is not None:
            self.transform = transform.augmentation(augment)
        # Pixels in memory are normalised in one go, and need no random numbers: a small
        # image takes a quarter of the time in evaluation, a sixth in training.
        self.at_once = isinstance(dataset, TensorDataset) and augment is None

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.dataset)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        """Returns an image and its label.

        Raises:
            DataError: If there is no such class, or a tensor has another shape.
        """
        image, label = self.dataset[index]
        image = image if self.transform is None else self.transform(image)
        if self.classes is not None and not 0 <= label < self.classes:
            raise DataError(
                f"classes must be in [0, {self.classes}), got {label} of sample {index}"
            )
        if self.shape is not None and image.shape != self.shape:
            raise DataError(
                f"images must have the shape {self.shape}, got {tuple(image.shape)} of "
                f"sample {index}"
            )
        return image, label

    def __getitems__(self, indices: Sequence[int]) -> list[tuple[Tensor, Any]]:
        """Returns several."""
        if not self.at_once:
            return [self[index] for index in indices]
        whole: Any = self.dataset
        images, labels = whole[indices]
        images = images if self.transform is None else self.transform(images)
        return list(zip(images, labels, strict=True))

    def order(self, key: Key) -> Tensor | None:
        """Returns the order in which a key shuffles the images; None for any."""
        return own_order(self.dataset, key)
