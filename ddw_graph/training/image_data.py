"""Images to train on and to test on, with what a network needs to know about them."""

from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor
from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.data_source import DataSource
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.transform import Inputs, Transform


@dataclass(frozen=True)
class ImageData:
    """Images to train on and to test on.

    A sample of the data sets is an image and its class: a PIL image or a uint8 tensor
    ``(channels, height, width)``; or, without a transform, a float tensor.

    Args:
        name: Its name; a data set of the library has one of ``DATA_SETS``.
        classes: Name of each class.
        image_size: Height and width of an image, pixels.
        digest: Distinguishes data of one name.
        transform: What images go through; None if tensors go to the network unchanged.
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

    def train_inputs(self, recipe: Recipe | None = None) -> Dataset[tuple[Tensor, Any]]:
        """Returns the training images as the network sees them, with their classes.

        Args:
            recipe: Says how they are augmented; None for not at all. What is drawn
                comes from torch's global generator: see ``training_batches``.

        Raises:
            DataError: If images are to be augmented that do not have 8 bits.
        """
        augment = recipe if recipe is not None and recipe.augment else None
        return self._inputs(self.train, augment)

    def test_inputs(self) -> Dataset[tuple[Tensor, Any]]:
        """Returns the test images as the network sees them, with their classes."""
        return self._inputs(self.test)

    def _inputs(self, images: Dataset[Any], augment: Recipe | None = None) -> Inputs:
        shape = (self.channels, self.image_size, self.image_size)
        return Inputs(
            images, self.transform, augment, classes=len(self.classes), shape=shape
        )

    def inputs(self, split: str, network: Any = None) -> Dataset[tuple[Tensor, Any]]:
        """Returns the images of a split as the network sees them, with their classes.

        Args:
            split: ``train`` or ``test``.
            network: Not used: images are the same for all.
        """
        return self.test_inputs() if split == "test" else self.train_inputs()

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

    def cost(self, network: Network) -> NetworkCost:
        """Returns what a network costs for an image."""
        return cost(network, self.image_size)

    def as_dict(self) -> dict[str, Any]:
        """Returns what identifies this data, ready for JSON."""
        (train, test), source = self.sizes, self.source
        found: dict[str, Any] = {
            "name": self.name,
            "image_size": self.image_size,
            "classes": list(self.classes),
            "train": train,
            "test": test,
            "digest": self.digest,
            "transform": None if self.transform is None else self.transform.as_dict(),
        }
        if source is not None:
            chosen = {"per_class": source.per_class, "holdout": source.holdout}
            found |= {name: value for name, value in chosen.items() if value}
            if source.bad_images == "skip":
                found["bad_images"] = len(self.bad)
        return found
