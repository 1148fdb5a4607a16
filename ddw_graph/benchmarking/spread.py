"""What repeated measurements say: median and middle half, ratios, growth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ddw_graph.errors import RunError


@dataclass(frozen=True)
class Spread:
    """The median of measurements and the quartiles around it.

    Args:
        median: Half of the measurements are below.
        low: A quarter of them is below.
        high: A quarter of them is above.
    """

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Returns median and quartiles; between two values, in proportion.

    Example:
        >>> spread([1.0, 2.0, 3.0, 4.0])
        Spread(median=2.5, low=1.75, high=3.25)
    """
    median, low, high = np.quantile(values, (0.5, 0.25, 0.75)).tolist()
    return Spread(median, low, high)


def ratio(values: Sequence[float], to: Sequence[float]) -> Spread:
    """Returns the spread of the ratios of values to those that they are paired with.

    Example:
        >>> ratio([2.0, 6.0, 3.0], [1.0, 2.0, 3.0]).median
        2.0
    """
    pairs = zip(values, to, strict=True)
    return spread([value / other for value, other in pairs])


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Returns the b of the ``a * size**b`` that fits values best.

    It is the slope of the least-squares line through the logarithms.

    Raises:
        RunError: If there are not two sizes, or something is not positive.

    Example:
        >>> round(exponent([1, 2, 4], [3.0, 12.0, 48.0]), 6)
        2.0
    """
    if len(set(sizes)) < 2 or min((*sizes, *values)) <= 0:
        raise RunError(
            "an exponent needs two sizes or more, and positive values, "
            f"got {list(sizes)} and {list(values)}"
        )
    x, y = np.log(sizes), np.log(values)
    x = x - x.mean()
    return float(x @ y / (x @ x))
