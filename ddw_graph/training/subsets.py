"""Labels of data sets, and subsets with equally many samples of each class."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from ddw_graph.errors import DataError
from ddw_graph.training.keys import Key

SEED = 2107
"""Of the draws below, which are the same for every run."""


def labels_of(
    dataset: Dataset[Any], *, read: bool = True
) -> Int[Tensor, " images"] | None:
    """Returns the class of each sample of a data set; None where they have none.

    Where the set does not hold its labels, every sample is read, unless ``read`` is
    False.
    """
    if isinstance(dataset, Subset):
        labels = labels_of(dataset.dataset, read=read)
        return None if labels is None else labels[torch.as_tensor(dataset.indices)]
    found: Any = getattr(dataset, "targets", None)
    if isinstance(dataset, TensorDataset):
        found = dataset.tensors[1] if len(dataset.tensors) == 2 else ()
    if found is None and read:
        samples: Any = dataset
        found = [samples[index][1] for index in range(len(samples))]
    try:
        labels = torch.as_tensor(found)
    except (TypeError, ValueError, RuntimeError):  # None, or of another kind
        return None
    whole = labels.ndim == 1 and len(labels) and not labels.is_floating_point()
    return labels.long() if whole else None


def own_order(dataset: Dataset[Any], key: Key) -> Int[Tensor, " images"] | None:
    """Returns the order in which a data set wants a key to shuffle it; None for any.

    That of a subset is the whole set's, without the others.
    """
    if hasattr(dataset, "order"):
        order: Tensor | None = dataset.order(key)
        return order
    if not isinstance(dataset, Subset):
        return None
    whole = own_order(dataset.dataset, key)
    if whole is None:
        return None
    places = torch.full((len(whole),), -1)
    places[torch.as_tensor(dataset.indices)] = torch.arange(len(dataset))
    order = places[whole]
    return order[order >= 0]


def holdout_split(
    labels: Int[Tensor, " images"], classes: Sequence[str], holdout: int
) -> tuple[Int[Tensor, " rest"], Int[Tensor, " held"]]:
    """Returns which images stay to train on, and which are held out.

    As many of each class, and the same in every run.

    Raises:
        DataError: If classes cannot share as many, or one would have none left.

    Example:
        >>> rest, held = holdout_split(torch.tensor([0, 0, 1, 1]), ["cat", "dog"], 2)
        >>> len(rest), sorted(torch.tensor([0, 0, 1, 1])[held].tolist())
        (2, [0, 1])
    """
    if holdout < 1 or holdout % len(classes):
        raise DataError(
            f"holdout must be a multiple of the {len(classes)} classes, got {holdout}"
        )
    each = holdout // len(classes)
    fewest, name = _fewest(labels, classes)
    if fewest <= each:
        raise DataError(
            f"holdout must leave an image of every class, got {holdout}, and {fewest} "
            f"of {name!r}"
        )
    ranks = _ranks(labels, 0)
    return (ranks >= each).nonzero().flatten(), (ranks < each).nonzero().flatten()


def balanced(
    labels: Int[Tensor, " images"], classes: Sequence[str], per_class: int
) -> Int[Tensor, " chosen"]:
    """Returns which images are a subset with so many of each class.

    They are the same in every run, and among those of any larger subset.

    Raises:
        DataError: If a class has fewer.
    """
    fewest, name = _fewest(labels, classes)
    if not 1 <= per_class <= fewest:
        raise DataError(
            f"per_class must be in [1, {fewest}], the images of {name!r}, "
            f"got {per_class}"
        )
    return (_ranks(labels, 1) < per_class).nonzero().flatten()


def spread_over_classes(
    labels: Int[Tensor, " images"], count: int
) -> Int[Tensor, " chosen"]:
    """Returns which images are so many in all, and as many of each class as can be.

    Where a class runs out the others give more; the classes differ by one image at
    most otherwise. With enough of all, these are the images of ``balanced``.

    Where there are fewer in all, every one.

    Example:
        >>> spread_over_classes(torch.tensor([0, 0, 0, 1]), 3).shape
        torch.Size([3])
    """
    order = torch.sort(_ranks(labels, 1), stable=True).indices
    return order[:count].sort().values


def _fewest(labels: Tensor, classes: Sequence[str]) -> tuple[int, str]:
    """Returns how many images the smallest class has, and its name."""
    counts = torch.bincount(labels, minlength=len(classes))
    smallest = int(counts.argmin())
    return int(counts[smallest]), classes[smallest]


def _ranks(labels: Tensor, draw: int) -> Tensor:
    """Returns each image's place among those of its class, in a drawn order."""
    # The raw numbers of a bit generator stay what they are in every release of NumPy;
    # those of its distributions, and torch's, need not.
    bits = np.random.PCG64(np.random.SeedSequence((SEED, draw)))
    order = np.lexsort((bits.random_raw(len(labels)), labels.numpy()))
    grouped = labels.numpy()[order]
    starts = np.searchsorted(grouped, grouped, side="left")
    ranks = np.empty(len(labels), np.int64)
    ranks[order] = np.arange(len(labels)) - starts
    return torch.from_numpy(ranks)
