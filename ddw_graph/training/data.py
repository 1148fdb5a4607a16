"""Data sets: an embedded cut of Fashion-MNIST, torchvision's sets, files, shards."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import Augmentation
from ddw_graph.training.bad_images import BadImage, readable, warn
from ddw_graph.training.shard_index import kept_index
from ddw_graph.training.shards import ShardImages, class_names, shard_paths
from ddw_graph.training.subsets import balanced, held_out, labels_of
from ddw_graph.training.transform import Inputs, Transform
from ddw_graph.training.world import World

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
"""What is done about an image that cannot be read: the run ends, or leaves it out."""


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
    source: "DataSource | None" = None

    def __post_init__(self) -> None:
        """Checks classes and images."""
        if len(self.classes) < 2:
            raise DataError(f"classes must be at least 2, got {self.classes}")
        if not self.sizes[0] or not self.sizes[1]:
            raise DataError(
                f"{self.name} must have images to train on and to test on, got "
                f"{self.sizes[0]} and {self.sizes[1]}"
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
        return Inputs(self.train, self.transform, augmentation)

    def test_inputs(self) -> Dataset[tuple[Tensor, Any]]:
        """Returns the test images as the network sees them, with their classes."""
        return Inputs(self.test, self.transform)

    def with_transform(self, transform: Transform) -> "ImageData":
        """Returns the images to be transformed otherwise, such as those of a run."""
        return replace(
            self,
            transform=transform,
            channels=transform.channels,
            image_size=transform.image_size,
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns what tells this data from other data, ready for JSON."""
        train, test = self.sizes
        values: dict[str, Any] = {
            "name": self.name,
            "image_size": self.image_size,
            "classes": list(self.classes),
            "train": train,
            "test": test,
            "digest": self.digest,
        }
        if self.per_class is not None:
            values["per_class"] = self.per_class
        if self.holdout is not None:
            values["holdout"] = self.holdout
        if self.bad or (self.source and self.source.bad_images == "skip"):
            values["bad_images"] = len(self.bad)
        return values


@dataclass(frozen=True)
class DataSource:
    """Which data set to load, and from where; see ``load_data`` for the arguments.

    Raises:
        DataError: If the values do not go together.
    """

    name: str = "fashion_mnist_mini"
    root: Path | None = None
    image_size: int | None = None
    download: bool = False
    per_class: int | None = None
    holdout: int | None = None
    bad_images: str = "fail"

    def __post_init__(self) -> None:
        """Checks the values."""
        name, files = self.name, " and ".join(OF_FILES)
        if name not in DATA_SETS:
            raise DataError(f"data must be one of {', '.join(DATA_SETS)}, got {name!r}")
        if (self.root is None) != (name == "fashion_mnist_mini"):
            rule = "must have a root folder" if self.root is None else "has no root"
            raise DataError(f"data {name} {rule}, got root={self.root}")
        if self.image_size is not None and name not in OF_FILES:
            raise DataError(
                f"image_size is for data {files}, got {self.image_size} for {name}"
            )
        if self.image_size is not None and self.image_size < 1:
            raise DataError(f"image_size must be at least 1 px, got {self.image_size}")
        if self.bad_images not in BAD_IMAGES:
            kinds = " or ".join(BAD_IMAGES)
            raise DataError(f"bad_images must be {kinds}, got {self.bad_images!r}")
        if self.bad_images == "skip" and name not in OF_FILES:
            raise DataError(f"bad_images=skip is for data {files}, got {name}")
        if self.download and name not in TORCHVISION:
            raise DataError(
                f"download is for data {', '.join(TORCHVISION)}, got {name}"
            )

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        root = None if self.root is None else str(self.root)
        return {**asdict(self), "root": root}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "DataSource":
        """Returns the source that ``as_dict`` describes.

        Raises:
            DataError: If the values are of another kind.
        """
        try:
            root = values["root"]
            return cls(**{**values, "root": None if root is None else Path(root)})
        except (KeyError, TypeError) as error:
            raise DataError(
                f"a source must have what load_data takes, got {error}"
            ) from error

    def load(
        self,
        *,
        workers: int = 0,
        world: World = World(),  # noqa: B008 (frozen)
    ) -> ImageData:
        """Returns the data set.

        Args:
            workers: Processes that look for images that cannot be read; 0 for this one.
            world: Processes that train together, which share that work.

        Raises:
            DataError: If there are no such images, or not as many.
            LostError: If the system cannot read one now, for a reason that passes.
        """
        size = 224 if self.image_size is None else self.image_size
        if self.root is None:
            data = _embedded()
        elif self.name == "folder":
            data = _folder(self.root, size, skip=self.bad_images == "skip")
        elif self.name == "shards":
            data = _shards(self.root, size)
        else:
            data = _torchvision(self.name, self.root, self.download)
        data = replace(data, source=self)
        if self.bad_images == "skip":
            train, bad = readable(data.train, workers=workers, world=world)
            test, more = readable(data.test, workers=workers, world=world)
            data = replace(data, train=train, test=test, bad=bad + more)
            if world.leads:
                warn(data.bad)
        if self.per_class is not None or self.holdout is not None:
            data = _chosen(data, self.per_class, self.holdout)
        return data


def load_data(
    name: str = "fashion_mnist_mini",
    *,
    root: Path | None = None,
    image_size: int | None = None,
    download: bool = False,
    per_class: int | None = None,
    holdout: int | None = None,
    bad_images: str = "fail",
    workers: int = 0,
) -> ImageData:
    """Returns a data set.

    ``fashion_mnist_mini`` is in the package: 3,000 images of Fashion-MNIST to train on
    and 2,000 to test on. ``fashion_mnist``, ``cifar10`` and ``cifar100`` are
    torchvision's, below ``root``. ``folder`` is ``root/train`` and ``root/val`` (or
    ``root/test``), each with a folder of images for each class. ``shards`` are tar
    files ``root/train-000000.tar`` and ``root/val-000000.tar`` (or ``root/test-...``),
    and so on. ``docs/data.md`` describes both.

    Args:
        name: One of ``DATA_SETS``.
        root: Folder of the data; every set but the embedded one needs it.
        image_size: Height and width, pixels, for ``folder`` and ``shards``: 224 by
            default.
        download: Whether torchvision may download a set that is missing.
        per_class: Training images of each class to choose; all by default.
        holdout: Training images to hold out, as many of each class; they take the place
            of the test images.
        bad_images: ``fail``, or for ``folder`` and ``shards`` ``skip``: every image is
            read once, and those that cannot be read are left out.
        workers: Processes that look for these; 0 for this one.

    Raises:
        DataError: If the name is unknown, there are no such images, or not as many.
        LostError: If the system cannot read one now, for a reason that passes.

    Example:
        >>> data = load_data()
        >>> data.sizes, data.channels, data.image_size
        ((3000, 2000), 1, 28)
    """
    source = DataSource(
        name, root, image_size, download, per_class, holdout, bad_images
    )
    return source.load(workers=workers)


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
        test: Likewise, with as many channels and the same size.
        classes: Name of each class, at least two.

    Raises:
        DataError: If there is no image, pixels or labels are of another kind, or a
            channel of the training images is constant.

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
    return dataset_data(
        TensorDataset(*train), TensorDataset(*test), name=name, classes=classes
    )


def dataset_data(
    train: Dataset[Any],
    test: Dataset[Any],
    *,
    name: str = "own",
    classes: Sequence[str] | None = None,
) -> ImageData:
    """Returns your own torch data sets as data to train on.

    A sample is a tensor ``(channels, size, size)`` and its class, an integer. Tensors
    of floats go to the network unchanged. Those of uint8 are normalised by the
    statistics of the training images, which are all read once for that.

    Args:
        train: Samples to train on.
        test: Samples to test on.
        name: What runs on them are to call them.
        classes: Name of each class; those of ``train.classes`` by default, or their
            numbers.

    Raises:
        DataError: If there is no sample, samples are of another kind, or a channel of
            uint8 images is constant.

    Example:
        >>> images, labels = torch.randn(4, 1, 8, 8), torch.tensor([0, 1, 0, 1])
        >>> own = TensorDataset(images, labels)
        >>> data = dataset_data(own, own)
        >>> data.classes, data.image_size
        (('0', '1'), 8)
    """
    firsts = [_first(part, name) for part in (train, test)]
    shape, kind = firsts[0].shape, firsts[0].dtype
    for image in firsts:
        wanted = kind == torch.uint8 or kind.is_floating_point
        square = image.ndim == 3 and image.shape[1] == image.shape[2]
        if not wanted or image.dtype != kind or not square or image.shape != shape:
            raise DataError(
                f"images of {name} must be (channels, size, size) in uint8 or a type "
                f"of floats, alike in training and test, got {image.dtype}, "
                f"{tuple(image.shape)} and first {kind}, {tuple(shape)}"
            )
    given = classes if classes is not None else getattr(train, "classes", None)
    names = None if given is None else tuple(map(str, given))
    for part in (train, test):
        labels = labels_of(part, read=names is None)
        if labels is None and names is None:
            raise DataError(f"samples of {name} must be an image and an integer class")
        if labels is None:
            continue
        names = names or tuple(map(str, range(int(labels.max()) + 1)))
        if not 0 <= labels.min() <= labels.max() < len(names):
            raise DataError(
                f"labels of {name} must be in [0, {len(names)}), got {labels.min()} "
                f"to {labels.max()}"
            )
    transform = None
    if kind == torch.uint8:
        mean, std = _statistics(train)
        for place, value in enumerate(std):
            if not value > 0:
                raise DataError(
                    f"every channel of {name} must vary over the training images, got "
                    f"{round(mean[place] * 255)} everywhere in channel {place}: leave "
                    "it out"
                )
        transform = Transform(shape[0], shape[1], shape[1], mean, std)
    digest = sha256()
    for part in (train, test):
        for tensor in _identity(part):
            flat = tensor.detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return ImageData(
        name, train, test, names or (), *shape[:2], digest.hexdigest()[:16], transform
    )


def _first(dataset: Any, name: str) -> Tensor:
    """Returns the first image of a data set of the user's."""
    if not len(dataset):
        raise DataError(f"{name} must have at least one image, got none")
    sample = dataset[0]
    if not isinstance(sample, tuple | list) or not isinstance(sample[0], Tensor):
        kinds = ", ".join(
            type(x).__name__
            for x in (sample if isinstance(sample, tuple) else [sample])
        )
        raise DataError(
            f"samples of {name} must be a tensor and its class, got {kinds}; give the "
            "data set a transform that makes tensors, such as torchvision's v2.ToImage"
        )
    return sample[0]


def _statistics(dataset: Any) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel, of values in [0, 1].

    The standard deviation of a constant channel is 0, which rounding would hide.
    """
    if isinstance(dataset, TensorDataset):
        pixels = dataset.tensors[0]
        values = pixels.float() / 255
        mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3))
        varies = (pixels != pixels[:1, :, :1, :1]).flatten(2).any(2).any(0)
    else:
        pixels = dataset[0][0].flatten(1)
        first, varies = pixels[:, :1], torch.zeros(len(pixels), dtype=torch.bool)
        sums, count = torch.zeros(2, len(pixels), dtype=torch.float64), 0
        for index in range(len(dataset)):
            pixels = dataset[index][0].flatten(1)
            varies |= (pixels != first).any(1)
            values = pixels.double() / 255
            sums += torch.stack([values.sum(1), values.square().sum(1)])
            count += values.shape[1]
        mean, squares = sums / count
        std = ((squares - mean.square()) * count / (count - 1)).clamp(min=0).sqrt()
    return tuple(mean.tolist()), tuple((std * varies).tolist())


def _identity(dataset: Any) -> Iterable[Tensor]:
    """Returns tensors that tell a data set from others, as far as that is quick."""
    if isinstance(dataset, TensorDataset):
        return dataset.tensors
    ends = [
        torch.as_tensor(x) for index in (0, -1) for x in dataset[index % len(dataset)]
    ]
    return [torch.tensor(len(dataset)), *ends]


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


def _folder(root: Path, image_size: int, *, skip: bool) -> ImageData:
    from ddw_graph.training.folder import ImageFolder, digest_of  # slow to import

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
    digest = digest_of(parts, skip=skip)
    transform = Transform.of_files(image_size)
    return ImageData("folder", *parts, tuple(classes), 3, image_size, digest, transform)


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
        classes = tuple(map(str, range(int(parts[0].images[:, 3].max()) + 1)))
    digest = sha256("\0".join(classes).encode())
    for part in parts:
        wrong = (part.images[:, 3] >= len(classes)).nonzero()[0]
        if len(wrong):
            place = int(wrong[0])
            raise DataError(
                f"classes of shards must be in [0, {len(classes)}), got "
                f"{part.images[place, 3]} for {part.name(place)!r}"
            )
        digest.update(part.images.tobytes() + "\0".join(part.shards).encode())
        digest.update(part.names)
    images = [ShardImages(root, part) for part in parts]
    transform = Transform.of_files(image_size)
    name = digest.hexdigest()[:16]
    return ImageData("shards", *images, classes, 3, image_size, name, transform)


def _chosen(data: ImageData, per_class: int | None, holdout: int | None) -> ImageData:
    """Returns the data with a part of the training images held out, and a subset."""
    labels, classes = labels_of(data.train), data.classes
    assert labels is not None
    train, test = torch.arange(len(labels)), data.test
    digest = sha256(data.digest.encode())
    if holdout is not None:
        train, held = held_out(labels, classes, holdout)
        test = _some(data.train, held)
        digest.update(b"held out" + held.numpy().tobytes())
    if per_class is not None:
        train = train[balanced(labels[train], classes, per_class)]
    digest.update(b"trained on" + train.numpy().tobytes())
    return replace(
        data,
        train=_some(data.train, train),
        test=test,
        digest=digest.hexdigest()[:16],
        per_class=per_class,
        holdout=holdout,
    )


def _some(dataset: Dataset[Any], indices: Tensor) -> Dataset[Any]:
    """Returns a part of a data set: of one in memory, its own tensors."""
    if isinstance(dataset, TensorDataset):
        return TensorDataset(*dataset[indices])  # type: ignore[index]
    return Subset(dataset, indices.tolist())
