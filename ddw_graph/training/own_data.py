"""Your own data: tensors in memory, or any torch data sets."""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.subsets import labels_of
from ddw_graph.training.transform import Transform


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
    for pixels, labels in (train, test):
        kinds = pixels.dtype, labels.dtype
        one_each = pixels.ndim == 4 and labels.shape == pixels.shape[:1]
        if kinds != (torch.uint8, torch.int64) or not one_each:
            raise DataError(
                f"{name} must be uint8 pixels (images, channels, size, size) and int64 "
                f"labels (images,), got {kinds[0]} {tuple(pixels.shape)} and "
                f"{kinds[1]} {tuple(labels.shape)}"
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
    first = _image(train, name)
    for image in (first, _image(test, name)):
        square = image.ndim == 3 and image.shape[1] == image.shape[2]
        known = image.dtype == torch.uint8 or image.is_floating_point()
        like = image.shape == first.shape and image.dtype == first.dtype
        if not (square and known and like):
            raise DataError(
                f"images of {name} must be (channels, size, size), all alike, in uint8 "
                f"or floats, got {image.dtype} {tuple(image.shape)} after "
                f"{first.dtype} {tuple(first.shape)}"
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
    channels, size, _ = first.shape
    transform = None
    if first.dtype == torch.uint8:
        transform = Transform(channels, size, size, *_statistics(train, name))
    digest = sha256()
    for tensor in (*_identity(train), *_identity(test)):
        flat = tensor.detach().cpu().contiguous().flatten()
        digest.update(flat.view(torch.uint8).numpy().tobytes())
    identity = digest.hexdigest()[:16]
    return ImageData(
        name, train, test, names or (), channels, size, identity, transform
    )


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
    return sample[0]


def _statistics(dataset: Any, name: str) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Returns mean and standard deviation of each channel, of values in [0, 1]."""
    in_memory = isinstance(dataset, TensorDataset)
    places = range(0 if in_memory else len(dataset))
    pixels = torch.stack([dataset[i][0] for i in places]) if places else dataset[:][0]
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


def _identity(dataset: Any) -> Iterable[Tensor]:
    """Returns tensors that tell a data set from others, as far as that is quick."""
    if isinstance(dataset, TensorDataset):
        return dataset.tensors
    ends = [
        torch.as_tensor(x) for index in (0, -1) for x in dataset[index % len(dataset)]
    ]
    return [torch.tensor(len(dataset)), *ends]
