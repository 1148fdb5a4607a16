"""Models that need no graph: what a graph network must be better than."""

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, special

Rows = Float[np.ndarray, "rows columns"]
Labels = Int[np.ndarray, " rows"]
Targets = Float[np.ndarray, " rows"]
Others = Float[np.ndarray, "others columns"]


def majority(labels: Labels, count: int) -> Int[np.ndarray, " others"]:
    """Returns the most frequent label, so many times; the first of several.

    Example:
        >>> majority(np.array([2, 1, 2]), 2)
        array([2, 2])
    """
    return np.full(count, np.bincount(labels).argmax())


def nearest_mean(
    rows: Rows, labels: Labels, others: Others
) -> Int[np.ndarray, " others"]:
    """Returns for other rows the class whose mean is nearest.

    Columns are counted in the standard deviations of ``rows``.

    Example:
        >>> rows, labels = np.array([[0.0], [1.0], [9.0]]), np.array([4, 4, 7])
        >>> nearest_mean(rows, labels, np.array([[2.0], [8.0]]))
        array([4, 7])
    """
    rows, others = standardised(rows, others)
    classes = np.unique(labels)
    means = np.stack([rows[labels == label].mean(0) for label in classes])
    # The square of the row itself is the same for every class.
    off = (means**2).sum(1) - 2 * others @ means.T
    nearest: np.ndarray = classes[off.argmin(1)]
    return nearest


def logistic(
    rows: Rows, labels: Labels, others: Others, *, penalty: float = 1.0
) -> Int[np.ndarray, " others"]:
    """Returns for other rows the class of a logistic regression.

    Columns are counted in the standard deviations of ``rows``.

    Args:
        rows: What is learned from.
        labels: Their classes.
        others: What is held out.
        penalty: Of half the squared coefficients, beside the sum of cross-entropies.

    Example:
        >>> rows, labels = np.array([[0.0], [1.0], [9.0]]), np.array([4, 4, 7])
        >>> logistic(rows, labels, np.array([[2.0], [7.0]]))
        array([4, 7])
    """
    rows, others = standardised(rows, others)
    classes, places = np.unique(labels, return_inverse=True)
    coefficients = logistic_coefficients(rows, places, len(classes), penalty)
    chosen: np.ndarray = classes[_scores(others, coefficients).argmax(1)]
    return chosen


def logistic_coefficients(
    rows: Rows, places: Labels, classes: int, penalty: float
) -> Float[np.ndarray, "more classes"]:
    """Returns the coefficients of a logistic regression, the last row those of 1."""
    hot = np.eye(classes)[places]
    shape = (rows.shape[1] + 1, classes)

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        coefficients = flat.reshape(shape)
        scores = _scores(rows, coefficients)
        logs = special.log_softmax(scores, 1)
        off = np.exp(logs) - hot
        slope = np.vstack([rows.T @ off, off.sum(0)])
        slope[:-1] += penalty * coefficients[:-1]
        size = 0.5 * penalty * float((coefficients[:-1] ** 2).sum())
        return size - float((logs * hot).sum()), slope.ravel()

    found = optimize.minimize(
        loss, np.zeros(shape).ravel(), jac=True, method="L-BFGS-B"
    )
    coefficients: np.ndarray = found.x.reshape(shape)
    return coefficients


def linear(
    rows: Rows, targets: Targets, others: Others
) -> Float[np.ndarray, " others"]:
    """Returns for other rows what least squares tells; the shortest of many answers.

    What a column lacks (NaN) is its mean in ``rows``.

    Example:
        >>> rows, targets = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
        >>> linear(rows, targets, np.array([[3.0]])).round(6)
        array([7.])
    """
    known = np.isfinite(rows)
    sums = np.where(known, rows, 0).sum(0)
    means = sums / np.maximum(known.sum(0), 1)
    rows, others = (np.where(np.isfinite(x), x, means) for x in (rows, others))
    rows, others = standardised(rows, others)
    middle = targets.mean()
    slopes = np.linalg.lstsq(rows, targets - middle, rcond=None)[0]
    told: np.ndarray = middle + others @ slopes
    return told


def standardised(rows: Rows, others: Others) -> tuple[Rows, Others]:
    """Returns both in the means and standard deviations of the first; 0 without one.

    Example:
        >>> standardised(np.array([[0.0, 5.0], [2.0, 5.0]]), np.array([[4.0, 6.0]]))[1]
        array([[3., 0.]])
    """
    rows, others = np.asarray(rows, np.float64), np.asarray(others, np.float64)
    mean, std = rows.mean(0), rows.std(0)
    varies = np.ptp(rows, axis=0) > 0
    factor = np.where(varies, 1 / np.where(varies, std, 1), 0)
    return (rows - mean) * factor, (others - mean) * factor


def _scores(
    rows: Rows, coefficients: Float[np.ndarray, "more classes"]
) -> Float[np.ndarray, "rows classes"]:
    scores: np.ndarray = rows @ coefficients[:-1] + coefficients[-1]
    return scores
