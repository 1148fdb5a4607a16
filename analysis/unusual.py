"""How far a sample's wiring is from what is usual for its class."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int


def class_means(
    weights: Float[np.ndarray, "samples edges"],
    labels: Int[np.ndarray, " samples"],
    classes: int,
) -> Float[np.ndarray, "classes edges"]:
    """Returns the mean weight of each edge over the samples of each class.

    Args:
        weights: What each edge weighs for each sample.
        labels: The class of each sample.
        classes: Number of classes; those without a sample have NaN.

    Example:
        >>> class_means(np.array([[0.25], [0.75], [1.0]]), np.array([0, 0, 1]), 2)
        array([[0.5],
               [1. ]])
    """
    sums = np.zeros((classes, weights.shape[1]))
    np.add.at(sums, labels, weights.astype(np.float64))
    counts = np.bincount(labels, minlength=classes)[:, None]
    return np.where(counts, sums / np.maximum(counts, 1), np.nan)


def unusualness(
    stages: Sequence[Float[np.ndarray, "samples _"]],
    labels: Int[np.ndarray, " samples"],
) -> Float[np.ndarray, " samples"]:
    """Returns the distance of each sample's wiring from the mean of its class.

    Euclidean, over the edges of all stages; a sample that is alone in its class has 0.

    Args:
        stages: What each edge of a stage weighs for each sample.
        labels: The class of each sample.

    Example:
        >>> unusualness([np.array([[0.0], [1.0], [1.0]])], np.array([0, 0, 1]))
        array([0.5, 0.5, 0. ])
    """
    squares = np.zeros(len(labels))
    for weights in stages:
        means = class_means(weights, labels, int(labels.max()) + 1)
        squares += ((weights - means[labels]) ** 2).sum(1)
    return np.sqrt(squares)
