"""Images to train on and to test on, with what a network needs to know about them."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import Augmentation
from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.transform import Inputs, Transform


@dataclass(frozen=True)
class ImageData:
    """Images to train on and to test on.

    A sample of the data sets is an image and its class: a PIL image or a uint8 tensor
    ``(channels, height, width)``; or, without a transform, a float tensor.

    Args:
        name: Its name; a data set of the library has one of ``DATA_SETS``.
        train: Images to train on.
        test: Images to test on.
        classes: Name of each class.
        channels: Channels of an image.
        image_size: Height and width of an image, pixels.
        digest: Tells data of the same name apart.
        transform: What images go through; None if tensors go to the network unchanged.
        per_class: Images of each class that were chosen to train on; None for all.
        holdout: Training images that were held out and are tested on; None where the
            set's own test images are.
        bad: Images that cannot be read and were left out.
        source: How to load it again; None for your own data sets.

    Raises:
        DataError: If there are fewer than two classes, or no images.
    """

    name: str
    train: Dataset[Any]
    test: Dataset[Any]
    classes: tuple[str, ...]
    channels: int
    image_size: int
    digest: str
    transform: Transform | None
    per_class: int | None = None
    holdout: int | None = None
    bad: tuple[BadImage, ...] = ()
    source: DataSource | None = None

    task = "classification"

    def __post_init__(self) -> None:
        """Checks classes and images."""
        if len(self.classes) < 2:
            raise DataError(f"classes must be at least 2, got {self.classes}")
        if not all(self.sizes):
            raise DataError(
                f"{self.name} must have images to train on and to test on, got "
                f"{self.sizes}"
            )

    @property
    def sizes(self) -> tuple[int, int]:
        """How many images there are to train on and to test on."""
        parts: Any = self.train, self.test
        return len(parts[0]), len(parts[1])

    def train_inputs(
        self, augmentation: Augmentation | None = None
    ) -> Dataset[tuple[Tensor, Any]]:
        """Returns the training images as the network sees them, with their classes.

        Args:
            augmentation: What is done to them; None for nothing. It draws from torch's
                global generator: see ``training_batches``.

        Raises:
            DataError: If images are to be augmented that do not have 8 bits.
        """
        return Inputs(self.train, self.transform, augmentation, **self._checks())

    def test_inputs(self) -> Dataset[tuple[Tensor, Any]]:
        """Returns the test images as the network sees them, with their classes."""
        return Inputs(self.test, self.transform, **self._checks())

    def inputs(self, split: str, network: Any = None) -> Dataset[tuple[Tensor, Any]]:
        """Returns the images of a split as the network sees them, with their classes.

        Args:
            split: ``train`` or ``test``.
            network: Not used: images are the same for all.
        """
        return self.test_inputs() if split == "test" else self.train_inputs()

    def _checks(self) -> dict[str, Any]:
        size = self.image_size
        shape = (self.channels, size, size)
        return {"classes": len(self.classes), "shape": shape}

    def with_transform(self, transform: Transform) -> "ImageData":
        """Returns the images to be transformed otherwise, such as those of a run."""
        return replace(
            self,
            transform=transform,
            channels=transform.channels,
            image_size=transform.image_size,
        )

    def network_settings(self) -> dict[str, Any]:
        """Returns what ``create_model`` takes of these images."""
        return {
            "num_classes": len(self.classes),
            "in_channels": self.channels,
            "image_size": self.image_size,
        }

    def as_dict(self) -> dict[str, Any]:
        """Returns what identifies this data, ready for JSON."""
        train, test = self.sizes
        skips = self.source is not None and self.source.bad_images == "skip"
        chosen = {
            "per_class": self.per_class,
            "holdout": self.holdout,
            "bad_images": len(self.bad) if self.bad or skips else None,
        }
        return {
            "name": self.name,
            "image_size": self.image_size,
            "classes": list(self.classes),
            "train": train,
            "test": test,
            "digest": self.digest,
            "transform": None if self.transform is None else self.transform.as_dict(),
            **{name: value for name, value in chosen.items() if value is not None},
        }
