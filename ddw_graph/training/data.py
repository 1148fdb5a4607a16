"""Data sets: an embedded cut of Fashion-MNIST, torchvision's sets, files, shards."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.class_names import class_names
from ddw_graph.training.encoded import EncodedImages
from ddw_graph.training.folder import FolderImages, listing
from ddw_graph.training.images import ArrayImages, Images
from ddw_graph.training.shard_cache import kept_index
from ddw_graph.training.shards import ShardImages, shard_paths
from ddw_graph.training.subsets import Subset, balanced, held_out

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
OF_FILES = ("folder", "shards")
"""Sets of which each image is decoded when it is asked for."""
DATA_SETS = ("fashion_mnist_mini", *TORCHVISION, *OF_FILES)
BAD_IMAGES = ("fail", "skip")
"""What is done with an image that cannot be read: the run ends, or goes on without."""


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
        per_class: Images of each class that were chosen to train on; None for all.
        holdout: Training images that were held out and are what is tested on; None
            where that is the set's own test images.
        bad_images: What is done with an image that cannot be read: one of
            ``BAD_IMAGES``.

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
    per_class: int | None = None
    holdout: int | None = None
    bad_images: str = "fail"

    def __post_init__(self) -> None:
        """Checks the classes."""
        if len(self.classes) < 2:
            raise DataError(f"at least 2 classes are needed, got {self.classes}")

    @property
    def skips(self) -> bool:
        """Whether images that cannot be read are left out."""
        return self.bad_images == "skip"

    def as_dict(self) -> dict[str, Any]:
        """Returns what tells this data from other data, ready for JSON.

        What earlier versions did not know is left out where it is off, so that their
        runs go on.
        """
        values: dict[str, Any] = {
            "name": self.name,
            "image_size": self.image_size,
            "classes": list(self.classes),
            "train": len(self.train),
            "test": len(self.test),
            "digest": self.digest,
        }
        if self.per_class is not None:
            values["per_class"] = self.per_class
        if self.holdout is not None:
            values["holdout"] = self.holdout
        if self.skips:
            values["bad_images"] = self.bad_images
        return values


def load_data(
    name: str = "fashion_mnist_mini",
    *,
    root: Path | None = None,
    image_size: int | None = None,
    download: bool = False,
    per_class: int | None = None,
    holdout: int | None = None,
    bad_images: str = "fail",
) -> ImageData:
    """Returns a data set.

    ``fashion_mnist_mini`` is in the package: 3,000 images of Fashion-MNIST to train on
    and 2,000 to test on. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are
    torchvision's, below ``root``. ``folder`` is ``root/train`` and ``root/val`` (or
    ``root/test``), each with a folder of images for each class. ``shards`` are tar
    files ``root/train-000000.tar`` and ``root/val-000000.tar`` (or ``root/test-...``),
    and so on. ``docs/data.md`` tells of both.

    Args:
        name: One of ``DATA_SETS``.
        root: Folder of the data; every set but the embedded one needs it.
        image_size: Height and width, pixels, for ``folder`` and ``shards``: 224 by
            default.
        download: Whether torchvision may download a set that is not there.
        per_class: Training images of each class to choose; all by default.
        holdout: Training images to hold out, as many of each class; they take the place
            of the test images.
        bad_images: ``fail``, or for ``folder`` and ``shards`` ``skip``: images that
            cannot be read are then left out of training and testing.

    Raises:
        DataError: If the name is unknown, there are no such images, or not as many.

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
    if image_size is not None and name not in OF_FILES:
        raise DataError(
            f"image_size is for data {' and '.join(OF_FILES)}, got {image_size} for "
            f"{name}"
        )
    if image_size is not None and image_size < 1:
        raise DataError(f"image_size must be at least 1 pixel, got {image_size}")
    if bad_images not in BAD_IMAGES:
        raise DataError(
            f"bad_images must be {' or '.join(BAD_IMAGES)}, got {bad_images!r}"
        )
    if bad_images == "skip" and name not in OF_FILES:
        raise DataError(
            f"bad_images=skip is for data {' and '.join(OF_FILES)}, got {name}"
        )
    if download and name not in TORCHVISION:
        raise DataError(f"download is for data {', '.join(TORCHVISION)}, got {name}")
    size = 224 if image_size is None else image_size
    if root is None:
        data = _embedded()
    elif name == "folder":
        data = _folder(root, size, bad_images == "skip")
    elif name == "shards":
        data = _shards(root, size)
    else:
        data = _torchvision(name, root, download)
    if per_class is not None or holdout is not None:
        data = _chosen(data, per_class, holdout)
    return replace(data, bad_images=bad_images)


def array_data(
    name: str,
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    classes: tuple[str, ...],
) -> ImageData:
    """Returns images in memory, normalised by the statistics of the training images.

    Args:
        name: What runs on them are to call them.
        train: Pixels ``(images, channels, size, size)`` in uint8 with the class of
            each, ``(images,)`` in int64.
        test: Likewise, of as many channels and the same size.
        classes: Name of each class, at least two.

    Raises:
        DataError: If there is no image, or pixels or labels are otherwise.

    Example:
        >>> pixels = torch.arange(64, dtype=torch.uint8).view(4, 1, 4, 4)
        >>> own = pixels, torch.tensor([0, 0, 1, 1])
        >>> data = array_data("ramps", own, own, ("dark", "light"))
        >>> len(data.train), data.channels, data.image_size
        (4, 1, 4)
    """
    shape = train[0].shape[1:]
    for pixels, labels in (train, test):
        square = pixels.ndim == 4 and pixels.shape[2] == pixels.shape[3]
        if not square or pixels.dtype != torch.uint8 or pixels.shape[1:] != shape:
            raise DataError(
                f"pixels of {name} must be uint8, (images, channels, size, size) and "
                f"alike, got {pixels.dtype}, {tuple(pixels.shape)}"
            )
        if labels.dtype != torch.int64 or labels.shape != pixels.shape[:1]:
            raise DataError(
                f"labels of {name} must be int64, one an image of {len(pixels)}, "
                f"got {labels.dtype}, {tuple(labels.shape)}"
            )
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

    return array_data("fashion_mnist_mini", part("train"), part("test"), CLOTHES)


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
    return array_data(name, (train[0], train[1]), (test[0], test[1]), classes)


def _folder(root: Path, image_size: int, skip: bool) -> ImageData:
    test = next((root / p for p in ("val", "test") if (root / p).is_dir()), None)
    if test is None or not (root / "train").is_dir():
        raise DataError(
            f"an image folder must hold 'train' and 'val' (or 'test'), got {root}"
        )
    parts = {folder: listing(folder, skip=skip) for folder in (root / "train", test)}
    classes, others = (part.classes for part in parts.values())
    if classes != others:
        differing = ", ".join(sorted(set(classes) ^ set(others)))
        raise DataError(
            f"{root / 'train'} and {test} must hold the same classes, "
            f"only one holds {differing}"
        )
    # Names and sizes: reading every image first would take minutes.
    digest = sha256()
    for folder, part in parts.items():
        for name, size in zip(part.names, part.sizes.tolist(), strict=True):
            path = os.path.join(folder.name, name)
            digest.update(os.fsencode(f"{path} {size}") + b"\0")
    images = [
        FolderImages(folder, part.names, part.labels, image_size)
        for folder, part in parts.items()
    ]
    return _of_files("folder", images, classes, digest.hexdigest())


def _shards(root: Path, image_size: int) -> ImageData:
    if not root.is_dir():
        raise DataError(f"shards must be in a folder, got {root}")
    train, val, test = (shard_paths(root, part) for part in ("train", "val", "test"))
    if not train or not (val or test):
        raise DataError(
            "a folder of shards must hold train-000000.tar and val-000000.tar (or "
            f"test-000000.tar), and those that follow, got {root}"
        )
    parts = [
        kept_index(paths, root / f"{paths[0].name.partition('-')[0]}.index.npz")
        for paths in (train, val or test)
    ]
    classes = class_names(root)
    if classes is None:
        classes = tuple(map(str, range(int(parts[0].labels.max()) + 1)))
    digest = sha256("\0".join(classes).encode())
    for part in parts:
        wrong = (part.labels >= len(classes)).nonzero()[0]
        if len(wrong):
            place = int(wrong[0])
            raise DataError(
                f"classes of shards must be in [0, {len(classes)}), "
                f"{part.keys[place]!r} has {part.labels[place]}"
            )
        for array in (part.images, part.sizes, part.labels, part.keys.ends):
            digest.update(array.tobytes())
        digest.update("\0".join(part.shards).encode() + part.keys.text)
    images = [ShardImages(root, part, image_size) for part in parts]
    return _of_files("shards", images, classes, digest.hexdigest())


def _of_files(
    name: str, parts: Sequence[EncodedImages], classes: tuple[str, ...], digest: str
) -> ImageData:
    train, test = parts
    size = train.image_size
    return ImageData(name, train, test, classes, 3, size, digest[:16])


def _chosen(data: ImageData, per_class: int | None, holdout: int | None) -> ImageData:
    """Returns the data with a part of the training images held out, and a subset."""
    labels, classes = data.train.labels, data.classes
    train, test = torch.arange(len(labels)), data.test
    digest = sha256(data.digest.encode())
    if holdout is not None:
        train, held = held_out(labels, classes, holdout)
        test = Subset(data.train, held)
        digest.update(b"held out" + held.numpy().tobytes())
    if per_class is not None:
        train = train[balanced(labels[train], classes, per_class)]
    digest.update(b"trained on" + train.numpy().tobytes())
    return replace(
        data,
        train=Subset(data.train, train),
        test=test,
        digest=digest.hexdigest()[:16],
        per_class=per_class,
        holdout=holdout,
    )
