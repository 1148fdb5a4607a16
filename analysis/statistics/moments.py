"""Mean and variance of many columns by group, in one pass over chunks."""

import numpy as np
from jaxtyping import Float, Int


class Moments:
    """Count, mean and sum of squares about the mean of columns, for each group of rows.

    Chunks are merged by their own deviations, not from sums of squares, which would
    cancel. Everything is counted from the first row, so that a column that never
    changes has that value as its mean, and no variance, to the last bit.

    Args:
        groups: Number of groups.
        columns: Number of columns.

    Example:
        >>> moments = Moments(1, 2)
        >>> moments.add(np.array([[1.0, 5.0], [3.0, 5.0]]), np.array([0, 0]))
        >>> moments.mean, moments.variance
        (array([[2., 5.]]), array([[1., 0.]]))

    Source:
        Chan, Golub and LeVeque 1979.
    """

    def __init__(self, groups: int, columns: int) -> None:
        self.count = np.zeros(groups, dtype=np.int64)
        self.origin: Float[np.ndarray, " columns"] | None = None
        self.shifted = np.zeros((groups, columns))
        self.squares = np.zeros((groups, columns))

    def add(
        self, chunk: Float[np.ndarray, "rows columns"], group: Int[np.ndarray, " rows"]
    ) -> None:
        """Takes some rows, each of a group."""
        if self.origin is None and len(chunk):
            self.origin = chunk[0].copy()
        for place in np.unique(group):
            rows = chunk[group == place] - self.origin
            before, added = self.count[place], len(rows)
            mean = rows.mean(0)
            off = mean - self.shifted[place]
            self.squares[place] += ((rows - mean) ** 2).sum(0)
            self.squares[place] += off**2 * before * added / (before + added)
            self.shifted[place] += off * added / (before + added)
            self.count[place] += added

    @property
    def mean(self) -> Float[np.ndarray, "groups columns"]:
        """Mean in each group; 0 where there is no row."""
        origin = 0.0 if self.origin is None else self.origin
        seen = (self.count > 0)[:, None]
        mean: np.ndarray = np.where(seen, self.shifted + origin, 0.0)
        return mean

    @property
    def variance(self) -> Float[np.ndarray, "groups columns"]:
        """Variance of the population in each group; 0 where there is no row."""
        variance: np.ndarray = self.squares / np.maximum(self.count, 1)[:, None]
        return variance
