"""Who is held out when: folds of samples, and of runs whose wirings differ."""

import numpy as np
from jaxtyping import Float, Int

from ddw_graph.errors import DataError

Numbers = Int[np.ndarray, " items"]


def stratified_folds(labels: Numbers, folds: int, *, seed: tuple[int, ...]) -> Numbers:
    """Returns the fold of each sample, each with its share of every class.

    Args:
        labels: The class of each sample.
        folds: How many.
        seed: Fixes them; several numbers.

    Raises:
        DataError: If there is one class only, or one with fewer samples than folds.

    Example:
        >>> stratified_folds(np.array([0, 0, 1, 1]), 2, seed=(0,)).tolist()
        [0, 1, 0, 1]
    """
    check_folds(folds)
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"at least two classes must have samples, got {len(classes)}")
    if counts.min() < folds:
        raise DataError(
            "folds must be at most the samples of the smallest class, got "
            f"folds={folds} and {counts.min()} of class {classes[counts.argmin()]}"
        )
    draw = np.random.default_rng(seed)
    found = np.empty(len(labels), np.int64)
    first = 0
    for label in classes:
        members = draw.permutation(np.flatnonzero(labels == label))
        # Goes on where the class before ended, so that folds are of nearly one size.
        found[members] = (first + np.arange(len(members))) % folds
        first += len(members)
    return found


def grouped_folds(
    groups: Numbers,
    targets: Float[np.ndarray, " items"],
    folds: int,
    *,
    seed: tuple[int, ...],
) -> Numbers:
    """Returns the fold of each run; runs of one group are in one fold.

    Groups are sorted by the mean of their targets, and of each so many neighbours every
    fold draws one: low and high targets are in all of them.

    Args:
        groups: The group of each run.
        targets: What is to be told of each run.
        folds: How many.
        seed: Fixes them; several numbers.

    Raises:
        DataError: If there are fewer groups than twice the folds.

    Example:
        >>> runs, targets = np.array([0, 0, 1, 2, 3]), np.arange(5.0)
        >>> grouped_folds(runs, targets, 2, seed=(0,)).tolist()
        [0, 0, 1, 0, 1]
    """
    check_folds(folds)
    names = np.unique(groups)
    if len(names) < 2 * folds:
        raise DataError(
            "wirings that differ must be at least twice the folds, got "
            f"{len(names)} of {len(groups)} finished runs, and folds={folds}"
        )
    means = np.array([targets[groups == name].mean() for name in names])
    draw = np.random.default_rng(seed)
    order = names[np.argsort(means, kind="stable")]
    found = np.empty(len(groups), np.int64)
    for start in range(0, len(order), folds):
        block = order[start : start + folds]
        for name, fold in zip(block, draw.permutation(folds), strict=False):
            found[groups == name] = fold
    return found


def check_folds(folds: int) -> None:
    """Raises unless something can be held out and something learned from."""
    if folds < 2:
        raise DataError(f"folds must be at least 2, got {folds}")
