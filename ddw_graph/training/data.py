"""Data sets: an embedded cut of Fashion-MNIST, torchvision's sets, image folders."""

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.images import ArrayImages, FolderImages, Images

EMBEDDED = Path(__file__).parent / "fashion_mnist" / "images.npz"
CLOTHES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
TORCHVISION = {
    "fashion_mnist": "FashionMNIST",
    "cifar10": "CIFAR10",
    "cifar100": "CIFAR100",
}
DATA_SETS = ("fashion_mnist_mini", *TORCHVISION, "folder")


@dataclass(frozen=True)
class ImageData:
    """Images to train on and to test on.

    Args:
        name: One of ``DATA_SETS``.
        train: Images to train on.
        test: Images to test on.
        classes: Name of each class.
        channels: Channels of an image.
        image_size: Height and width of an image, pixels.
        digest: Tells data of the same name apart.

    Raises:
        DataError: If there are fewer than two classes.
    """

    name: str
    train: Images
    test: Images
    classes: tuple[str, ...]
    channels: int
    image_size: int
    digest: str

    def __post_init__(self) -> None:
        """Checks the classes."""
        if len(self.classes) < 2:
            raise DataError(f"at least 2 classes are needed, got {self.classes}")

    def as_dict(self) -> dict[str, Any]:
        """Returns what tells this data from other data, ready for JSON."""
        return {
            "name": self.name,
            "image_size": self.image_size,
            "classes": list(self.classes),
            "train": len(self.train),
            "test": len(self.test),
            "digest": self.digest,
        }


def load_data(
    name: str = "fashion_mnist_mini",
    *,
    root: Path | None = None,
    image_size: int | None = None,
    download: bool = False,
) -> ImageData:
    """Returns a data set.

    ``fashion_mnist_mini`` is in the package: 3,000 images of Fashion-MNIST to train on
    and 2,000 to test on. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are
    torchvision's, below ``root``. ``folder`` is ``root/train`` and ``root/val`` (or
    ``root/test``), each with a folder of images for each class.

    Args:
        name: One of ``DATA_SETS``.
        root: Folder of the data; every set but the embedded one needs it.
        image_size: Height and width, pixels, for ``folder`` alone: 224 by default.
        download: Whether torchvision may download a set that is not there.

    Raises:
        DataError: If the name is unknown, or there are no such images.

    Example:
        >>> data = load_data()
        >>> len(data.train), len(data.test), data.channels, data.image_size
        (3000, 2000, 1, 28)
    """
    if name not in DATA_SETS:
        raise DataError(f"data must be one of {', '.join(DATA_SETS)}, got {name!r}")
    if (root is None) != (name == "fashion_mnist_mini"):
        rule = "is in the package and takes no root" if root else "needs a root folder"
        raise DataError(f"data {name} {rule}, got root={root}")
    if image_size is not None and name != "folder":
        raise DataError(
            f"image_size is for data 'folder' alone, got {image_size} for {name}"
        )
    if root is None:
        return _embedded()
    if name == "folder":
        return _folder(root, 224 if image_size is None else image_size)
    return _torchvision(name, root, download)


def _arrays(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: tuple[str, ...],
) -> ImageData:
    """Returns data in memory, normalised by the statistics of the training images."""
    for _, labels in (train, test):
        if len(labels) and not 0 <= labels.min() <= labels.max() < len(classes):
            raise DataError(
                f"labels of {name} must be in [0, {len(classes)}), "
                f"got {labels.min()} to {labels.max()}"
            )
    digest = sha256()
    for tensor in (*train, *test):
        digest.update(tensor.contiguous().numpy().tobytes())
    values = train[0].float() / 255
    mean = values.mean((0, 2, 3)).tolist()
    std = values.std((0, 2, 3)).tolist()
    return ImageData(
        name,
        ArrayImages(*train, mean, std),
        ArrayImages(*test, mean, std),
        classes,
        channels=train[0].shape[1],
        image_size=train[0].shape[2],
        digest=digest.hexdigest()[:16],
    )


def _embedded() -> ImageData:
    with np.load(EMBEDDED, allow_pickle=False) as file:
        arrays = {key: torch.from_numpy(file[key]) for key in file.files}

    def part(split: str) -> tuple[Tensor, Tensor]:
        return arrays[f"{split}_images"][:, None], arrays[f"{split}_labels"].long()

    return _arrays("fashion_mnist_mini", part("train"), part("test"), CLOTHES)


def _torchvision(name: str, root: Path, download: bool) -> ImageData:
    from torchvision import datasets  # slow to import

    make: Any = getattr(datasets, TORCHVISION[name])

    def part(train: bool) -> tuple[Tensor, Tensor, tuple[str, ...]]:
        try:
            data = make(root, train=train, download=download)
        except Exception as error:  # torchvision checks with asserts, and not all
            message = f"{name} could not be read below {root}: {error}"
            raise DataError(" ".join(message.split())) from error
        pixels = torch.as_tensor(data.data)
        channels_last = pixels.ndim == 4
        pixels = pixels.permute(0, 3, 1, 2) if channels_last else pixels[:, None]
        return pixels, torch.as_tensor(data.targets).long(), tuple(data.classes)

    *train, classes = part(True)
    *test, _ = part(False)
    return _arrays(name, (train[0], train[1]), (test[0], test[1]), classes)


def _folder(root: Path, image_size: int) -> ImageData:
    if image_size < 1:
        raise DataError(f"image_size must be at least 1 pixel, got {image_size}")
    test = next((root / p for p in ("val", "test") if (root / p).is_dir()), None)
    if test is None or not (root / "train").is_dir():
        raise DataError(
            f"an image folder must hold 'train' and 'val' (or 'test'), got {root}"
        )
    train_files, classes = _files(root / "train")
    test_files, others = _files(test)
    if classes != others:
        differing = ", ".join(sorted(set(classes) ^ set(others)))
        raise DataError(
            f"{root / 'train'} and {test} must hold the same classes, "
            f"only one holds {differing}"
        )
    # Names and sizes: reading every image first would take minutes.
    digest = sha256()
    for path, _ in (*train_files, *test_files):
        told = f"{path.relative_to(root)} {path.stat().st_size}"
        digest.update(told.encode() + b"\0")
    return ImageData(
        "folder",
        FolderImages(train_files, image_size),
        FolderImages(test_files, image_size),
        classes,
        channels=3,
        image_size=image_size,
        digest=digest.hexdigest()[:16],
    )


def _files(folder: Path) -> tuple[list[tuple[Path, int]], tuple[str, ...]]:
    """Returns the images below a folder with their classes, and the classes."""
    from torchvision.datasets import ImageFolder  # slow to import

    try:
        found = ImageFolder(str(folder))
    except FileNotFoundError as error:
        empty = "a folder of images for each class"
        message = f"{folder} must hold {empty}: {str(error).splitlines()[0]}"
        raise DataError(message.rstrip(". ")) from error
    return [(Path(path), label) for path, label in found.samples], tuple(found.classes)
