"""Parts of a set of images that hold as many of each class."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ddw_graph.errors import DataError
from ddw_graph.training.augmentation import PLAIN, Augmentation
from ddw_graph.training.images import Batch, Images, OrderedImages, shuffled
from ddw_graph.training.keys import Key, Purpose

SEED = 2107
"""Of the draws below, which are the same for every run."""


class Subset:
    """Some images of a set; augmentation of each is what it is in the whole set.

    Args:
        images: The set.
        indices: Which of its images, in the order of the set.
    """

    def __init__(self, images: Images, indices: Int[Tensor, " some"]) -> None:
        self.images = images
        self.indices = indices
        self.labels = images.labels[indices]

    def __len__(self) -> int:
        """Returns the number of images."""
        return len(self.indices)

    def batch(
        self,
        indices: Sequence[int],
        key: Key | None,
        augmentation: Augmentation = PLAIN,
    ) -> Batch:
        """Returns images of the set with labels, augmented where a key is given."""
        chosen = self.indices[torch.as_tensor(indices, dtype=torch.long)]
        return self.images.batch(chosen.tolist(), key, augmentation)

    def order(self, key: Key) -> Int[Tensor, " some"]:
        """Returns the order in which a key shuffles them.

        Where the set has an order of its own, that, without the others.
        """
        if not isinstance(self.images, OrderedImages):
            generator = key.generator(Purpose.ORDER)
            return torch.randperm(len(self), generator=generator)
        places = torch.full((len(self.images),), -1)
        places[self.indices] = torch.arange(len(self))
        order = places[shuffled(self.images, key)]
        return order[order >= 0]


def held_out(
    labels: Int[Tensor, " images"], classes: Sequence[str], holdout: int
) -> tuple[Int[Tensor, " rest"], Int[Tensor, " held"]]:
    """Returns which images stay to train on, and which are held out.

    Args:
        labels: The class of each image.
        classes: Name of each class.
        holdout: Images to hold out, as many of each class; the same in every run.

    Raises:
        DataError: If classes cannot share as many, or one would have none left.

    Example:
        >>> rest, held = held_out(torch.tensor([0, 0, 1, 1]), ["cat", "dog"], 2)
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
    """Returns which images are a subset with as many of each class.

    Args:
        labels: The class of each image.
        classes: Name of each class.
        per_class: Images of each class; the same in every run, and among those of any
            larger subset.

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

    Args:
        labels: The class of each image.
        count: Images in all; every one where there are fewer.

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
