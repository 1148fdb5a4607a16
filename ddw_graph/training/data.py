"""Data sets: embedded images and text, torchvision's sets, files, shards."""

from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError, reason_of
from ddw_graph.training.bad_images import readable, warn
from ddw_graph.training.data_source import TORCHVISION as TORCHVISION
from ddw_graph.training.data_source import DataSource as DataSource
from ddw_graph.training.folder import ImageFolder, digest_of
from ddw_graph.training.image_data import ImageData as ImageData
from ddw_graph.training.own_data import dataset_data as dataset_data
from ddw_graph.training.shards import (
    ShardImages,
    class_names,
    shard_index,
    shard_paths,
)
from ddw_graph.training.subsets import balanced, holdout_split, labels_of
from ddw_graph.training.text_data import TextData as TextData
from ddw_graph.training.text_data import load_text
from ddw_graph.training.transform import Transform
from ddw_graph.training.world import World

EMBEDDED = Path(__file__).parent / "fashion_mnist" / "images.npz"
CLOTHES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)
Files = tuple[Dataset[Any], Dataset[Any], tuple[str, ...], str]
"""Images to train on and to test on, names of classes, and a digest."""


def load_source(
    source: DataSource,
    *,
    workers: int = 0,
    world: World = World(),  # noqa: B008 (frozen)
) -> Any:
    """Returns the data set of a source: ``ImageData``, or ``TextData``.

    Args:
        workers: Processes that look for images that cannot be read; 0 for this one.
        world: Processes that train together, which share that work.

    Raises:
        DataError: If there are no such images, or not as many.
        LostError: If the system cannot read one now, for a reason that passes.
    """
    name, root, skip = source.name, source.root, source.bad_images == "skip"
    if name == "text":
        return load_text(source)
    if root is None:
        data = _embedded()
    elif name in TORCHVISION:
        data = _torchvision(name, root, source.download)
    else:
        found = _folder(root, skip) if name == "folder" else _shards(root)
        train, test, classes, digest = found
        size = source.image_size or 224
        transform = Transform.of_files(size)
        data = ImageData(name, train, test, classes, 3, size, digest[:16], transform)
    data = replace(data, source=source)
    if skip:
        train, bad = readable(data.train, workers=workers, world=world)
        test, more = readable(data.test, workers=workers, world=world)
        data = replace(data, train=train, test=test, bad=bad + more)
        if world.leads:
            warn(data.bad)
    if source.per_class or source.holdout:
        data = _subset(data, source)
    return data


@overload
def load_data(
    name: Literal["text"], *, workers: int = ..., **settings: Any
) -> TextData: ...


@overload
def load_data(name: str = ..., *, workers: int = ..., **settings: Any) -> ImageData: ...


def load_data(
    name: str = "fashion_mnist_mini", *, workers: int = 0, **settings: Any
) -> Any:
    """Returns a data set: ``ImageData``, or ``TextData``.

    ``fashion_mnist_mini`` is in the package: 3,000 images of Fashion-MNIST to train on
    and 2,000 to test on. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are
    torchvision's, below ``root``. ``folder`` is ``root/train`` and ``root/val`` (or
    ``root/test``), each with a folder of images for each class. ``shards`` are tar
    files ``root/train-000000.tar`` and ``root/val-000000.tar`` (or ``root/test-...``),
    and so on. ``docs/data.md`` describes both. ``text`` is the file ``root``, or the
    files of a folder in the order of their paths, hidden ones left out; by default the
    beginning of the Bible in the King James Version, in the package. Its last tenth is
    tested on; or, of a folder with files or folders ``train`` and ``val`` (or
    ``test``), these, with any suffix. Tokens are bytes, or those of a file of Hugging
    Face's ``tokenizers``, which are kept in the user's cache.

    Args:
        name: One of ``DATA_SETS``.
        workers: Processes that look for images that cannot be read; 0 for this one.
        settings: Those of ``DataSource``: ``root``, ``image_size``, ``download``,
            ``per_class``, ``holdout``, ``bad_images``, ``epoch_tokens`` and
            ``tokenizer``.

    Raises:
        DataError: If the name is unknown, there are no such data, or not as many.
        LostError: If the system cannot read one now, for a reason that passes.

    Example:
        >>> data = load_data()
        >>> data.sizes, data.channels, data.image_size
        ((3000, 2000), 1, 28)
    """
    data: ImageData | TextData = load_source(
        DataSource(name, **settings), workers=workers
    )
    return data


def _embedded() -> ImageData:
    with np.load(EMBEDDED, allow_pickle=False) as file:
        train, test = (
            TensorDataset(
                torch.from_numpy(file[f"{split}_images"])[:, None],
                torch.from_numpy(file[f"{split}_labels"]).long(),
            )
            for split in ("train", "test")
        )
    return dataset_data(train, test, name="fashion_mnist_mini", classes=CLOTHES)


def _torchvision(name: str, root: Path, download: bool) -> ImageData:
    from torchvision import datasets  # slow to import

    make: Any = getattr(datasets, TORCHVISION[name])
    try:
        parts = [make(root, train=train, download=download) for train in (True, False)]
    except Exception as error:  # torchvision checks with asserts, and not all
        raise DataError(
            f"{name} could not be read below {root}: {reason_of(error)}"
        ) from error
    train, test = (
        TensorDataset(_channels_first(part.data), torch.as_tensor(part.targets).long())
        for part in parts
    )
    return dataset_data(train, test, name=name, classes=parts[0].classes)


def _channels_first(images: Any) -> Tensor:
    pixels = torch.as_tensor(images)
    return pixels.permute(0, 3, 1, 2) if pixels.ndim == 4 else pixels[:, None]


def _folder(root: Path, skip: bool) -> Files:
    test = next((root / p for p in ("val", "test") if (root / p).is_dir()), None)
    if test is None or not (root / "train").is_dir():
        raise DataError(
            f"an image folder must hold 'train' and 'val' (or 'test'), got {root}"
        )
    parts = ImageFolder(root / "train"), ImageFolder(test)
    classes, others = (part.classes for part in parts)
    if classes != others:
        differing = ", ".join(sorted(set(classes) ^ set(others)))
        raise DataError(
            f"{root / 'train'} and {test} must hold the same classes, "
            f"only one holds {differing}"
        )
    return *parts, tuple(classes), digest_of(parts, skip=skip)


def _shards(root: Path) -> Files:
    train, val, test = (shard_paths(root, part) for part in ("train", "val", "test"))
    if not train or not (val or test):
        raise DataError(
            "a folder of shards must hold train-000000.tar and val-000000.tar (or "
            f"test-000000.tar), and those that follow, got {root}"
        )
    parts = [
        shard_index(paths, root / f"{paths[0].name.partition('-')[0]}.index.npz")
        for paths in (train, val or test)
    ]
    classes = class_names(root)
    if classes is None:
        classes = tuple(map(str, range(int(parts[0].images[:, 3].max()) + 1)))
    digest = sha256("\0".join(classes).encode())
    for part in parts:
        largest = int(part.images[:, 3].argmax())
        if part.images[largest, 3] >= len(classes):
            raise DataError(
                f"classes of shards must be in [0, {len(classes)}), got "
                f"{part.images[largest, 3]} for {part.name(largest)!r}"
            )
        digest.update(part.images.tobytes() + "\0".join(part.shards).encode())
        digest.update(part.names)
    first, other = (ShardImages(root, part) for part in parts)
    return first, other, classes, digest.hexdigest()


def _subset(data: ImageData, source: DataSource) -> ImageData:
    """Returns the data with a part of the training images held out, and a subset."""
    labels, classes = labels_of(data.train), data.classes
    assert labels is not None
    train, test = torch.arange(len(labels)), data.test
    digest = sha256(data.digest.encode())
    if source.holdout:
        train, rest = holdout_split(labels, classes, source.holdout)
        test = _some(data.train, rest)
        digest.update(b"held out" + rest.numpy().tobytes())
    if source.per_class:
        train = train[balanced(labels[train], classes, source.per_class)]
    digest.update(b"trained on" + train.numpy().tobytes())
    return replace(
        data,
        train=_some(data.train, train),
        test=test,
        digest=digest.hexdigest()[:16],
    )


def _some(dataset: Dataset[Any], indices: Tensor) -> Dataset[Any]:
    """Returns a part of a data set: of one in memory, its own tensors."""
    if isinstance(dataset, TensorDataset):
        return TensorDataset(*dataset[indices])
    return Subset(dataset, indices.tolist())
