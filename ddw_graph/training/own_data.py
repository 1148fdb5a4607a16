"""Your own data: any torch data sets of tensors."""

from collections.abc import Sequence
from hashlib import sha256
from numbers import Integral
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.subsets import labels_of
from ddw_graph.training.transform import Transform


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
        name: What runs call them.
        classes: Name of each class; by default those of ``train.classes``, or their
            numbers, for which all labels are read once.

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
    first, other = _image(train, name), _image(test, name)
    if (other.dtype, other.shape) != (first.dtype, first.shape):
        raise DataError(
            f"images of {name} must be all alike, got {other.dtype} "
            f"{tuple(other.shape)} after {first.dtype} {tuple(first.shape)}"
        )
    names = getattr(train, "classes", None) if classes is None else classes
    read = names is None
    for part in (train, test):
        labels = labels_of(part, read=read)
        if labels is None:
            continue
        if names is None:
            names = range(int(labels.max()) + 1)
        if not 0 <= labels.min() <= labels.max() < len(names):
            raise DataError(
                f"labels of {name} must be in [0, {len(names)}), got {labels.min()} "
                f"to {labels.max()}"
            )
    channels, size, _ = first.shape
    transform = None
    if first.dtype == torch.uint8:
        transform = Transform(channels, size, size, *_statistics(train, name))
    digest, known = _digest(train, test), tuple(map(str, names or ()))
    return ImageData(name, train, test, known, channels, size, digest, transform)


def _image(dataset: Any, name: str) -> Tensor:
    """Returns the first image of a data set."""
    if not len(dataset):
        raise DataError(f"{name} must have at least one image, got none")
    sample = dataset[0]
    pair = isinstance(sample, tuple | list) and len(sample) == 2
    if not pair or not isinstance(sample[0], Tensor):
        got = [type(x).__name__ for x in sample] if pair else type(sample).__name__
        raise DataError(
            f"{name} must have samples of a tensor and its class, got {got}; "
            "torchvision's v2.ToImage as a transform makes tensors of pictures"
        )
    image: Tensor = sample[0]
    label = sample[1]
    whole = torch.as_tensor(label) if isinstance(label, Integral | Tensor) else None
    if whole is None or whole.ndim or whole.dtype != torch.int64:
        got = repr(label) if whole is None else f"{whole.dtype} {tuple(whole.shape)}"
        raise DataError(f"a class of {name} must be an integer (int64), got {got}")
    square = image.ndim == 3 and image.shape[1] == image.shape[2]
    if not square or not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise DataError(
            f"images of {name} must be (channels, size, size) in uint8 or floats, got "
            f"{image.dtype} {tuple(image.shape)}"
        )
    checked: Tensor = image
    return checked


def _statistics(dataset: Any, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel, of values in [0, 1]."""
    if isinstance(dataset, TensorDataset):
        pixels = dataset.tensors[0]
    else:
        pixels = torch.stack([dataset[index][0] for index in range(len(dataset))])
    # Compared exactly: rounding gives a constant channel a standard deviation.
    varies = (pixels != pixels[:1, :, :1, :1]).flatten(2).any(2).any(0).tolist()
    if not all(varies):
        place = varies.index(False)
        raise DataError(
            f"every channel of {name} must vary over the training images, got "
            f"{pixels[0, place, 0, 0]} everywhere in channel {place}: leave it out"
        )
    values = pixels.float() / 255
    mean, std = values.mean((0, 2, 3)), values.std((0, 2, 3))
    return tuple(mean.tolist()), tuple(std.tolist())


def _digest(*parts: Any) -> str:
    """Returns a digest that identifies data sets, as far as that is quick.

    Of data that is not in memory only sizes, first and last samples count.
    """
    digest = sha256()
    for part in parts:
        values = len(part), *part[0], *part[len(part) - 1]
        if isinstance(part, TensorDataset):
            values = part.tensors
        for value in values:
            flat = torch.as_tensor(value).detach().cpu().contiguous().flatten()
            digest.update(flat.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
