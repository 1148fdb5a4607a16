"""Models compared on the same held-out folds."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped
from scipy import stats
from sklearn.base import BaseEstimator, clone
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from ddw_graph.analysis.markdown import markdown_table
from ddw_graph.errors import DataError

NETWORK = "graph network"

Places = Int[np.ndarray, " _"]
Targets = Shaped[np.ndarray, " items"]
Model = Callable[[Places, Places, int], Targets]
"""Takes the places of training and of held-out items, and a seed; returns a prediction
for each held-out item."""


@dataclass(frozen=True)
class Answer:
    """How well something is predicted from wirings.

    Args:
        about: What was predicted from what.
        measure: What scores are.
        predictions: Each item's ``target`` and each model's prediction when it was held
            out, with ``repeat``, ``fold`` and ``item``.
        summary: For each ``model`` mean and standard deviation of its scores over folds
            (``score``, ``std``); and of the graph network's minus these the mean
            (``difference``), its 95 % interval (``low``, ``high``), and whether the
            graph network is better, worse, or not significantly different.
    """

    about: str
    measure: str
    predictions: pd.DataFrame
    summary: pd.DataFrame

    def markdown(self) -> str:
        """Returns the summary as a Markdown table."""

        def text(value: float, digits: int, sign: str = "") -> str:
            large = abs(value) >= 1000
            return format(value, sign + (",.0f" if large else f".{digits}g"))

        rows = []
        for row in self.summary.to_dict("records"):
            score, std = text(row["score"], 4), text(row["std"], 2)
            cells = [row["model"], score, std, "–", "–"]
            if row["model"] != NETWORK:
                keys = ("difference", "low", "high")
                mean, low, high = (text(row[key], 3, "+") for key in keys)
                cells[3:] = f"{mean} ({low} to {high})", row[NETWORK]
            rows.append(cells)
        difference = f"{NETWORK} minus this (95 % interval)"
        columns = ("model", self.measure, "std", difference, f"{NETWORK} is")
        return markdown_table(columns, rows)


def splits(
    labels: Places, *, folds: int, seed: int, groups: Places | None = None
) -> list[tuple[Places, Places]]:
    """Returns for each fold the places of training items and of held-out items.

    Each fold has its share of every label. Items of a group are never split.

    Raises:
        DataError: If there is one label only, or one has fewer items than folds.

    Example:
        >>> labels = np.array([0, 0, 1, 1])
        >>> [test.tolist() for _, test in splits(labels, folds=2, seed=0)]
        [[1, 2], [0, 3]]
    """
    values, counts = np.unique(labels, return_counts=True)
    if len(values) < 2:
        raise DataError(f"there must be at least two labels, got {len(values)}")
    if not 2 <= folds <= counts.min():
        raise DataError(
            "folds must be at least 2 and at most the items of the rarest label, got "
            f"folds={folds} and {counts.min()} of label {values[counts.argmin()]}"
        )
    kind = StratifiedKFold if groups is None else StratifiedGroupKFold
    splitter = kind(folds, shuffle=True, random_state=seed)
    return list(splitter.split(labels, labels, groups))


def cross_validated(
    network: Model,
    plain: Mapping[str, BaseEstimator],
    rows: Float[np.ndarray, "items columns"],
    targets: Targets,
    divisions: Sequence[Sequence[tuple[Places, Places]]],
    *,
    about: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Answer:
    """Returns how well each model predicts items that are held out.

    All models learn from the same items, so that their scores on a fold are paired.
    Scores are the accuracy of classes (integers), or the absolute error of numbers.

    Args:
        network: The graph network.
        plain: Estimators of scikit-learn that it is compared with, by name.
        rows: What these learn from.
        targets: What is to be predicted of each item.
        divisions: The folds of ``splits``, for each repeat.
        about: What is predicted from what.
        seed: Fixes what the graph network draws.
        progress: Called with folds done and folds in all.
    """
    parts: list[pd.DataFrame] = []
    for repeat, folds in enumerate(divisions):
        for fold, (train, test) in enumerate(folds):
            own = int(np.random.SeedSequence((seed, repeat, fold)).generate_state(1)[0])
            found = {NETWORK: network(train, test, own)}
            for name, estimator in plain.items():
                fitted = clone(estimator).fit(rows[train], targets[train])
                found[name] = fitted.predict(rows[test])
            where = {"repeat": repeat, "fold": fold, "item": test}
            parts.append(pd.DataFrame({**where, "target": targets[test], **found}))
            if progress:
                progress(len(parts), sum(map(len, divisions)))
    table = pd.concat(parts, ignore_index=True)
    models, target = table[[NETWORK, *plain]], table["target"]
    if targets.dtype.kind == "f":
        better, measure = -1, "mean absolute error"
        scores = models.sub(target, axis=0).abs()
    else:
        better, measure = 1, "accuracy, %"
        scores = 100.0 * models.eq(target, axis=0)
    held_out = table.groupby(["repeat", "fold"])
    by_fold = scores.groupby(held_out.ngroup()).mean()
    ratio = float((held_out.size() / (len(targets) - held_out.size())).mean())
    summary = [
        {"model": name, "score": own.mean(), "std": own.std()}
        for name, own in by_fold.items()
    ]
    for row in summary[1:]:
        differences = by_fold[NETWORK] - by_fold[row["model"]]
        mean, low, high = fold_interval(differences, ratio)
        verdict = "not significantly different"
        if low > 0 or high < 0:
            verdict = "better" if better * mean > 0 else "worse"
        row |= {"difference": mean, "low": low, "high": high, NETWORK: verdict}
    return Answer(about, measure, table, pd.DataFrame(summary))


def fold_interval(values: Iterable[float], ratio: float) -> tuple[float, float, float]:
    """Returns the mean of differences over folds with its 95 % interval.

    Training sets of folds overlap, so that differences vary together and Student's
    interval would be too narrow. The variance of the mean is therefore that of a
    difference times 1 / folds plus the ratio of held-out to training items.

    Example:
        >>> print("%.1f (%.3f to %.3f)" % fold_interval([0.1, 0.2, 0.3], 0.5))
        0.2 (-0.193 to 0.593)

    Source:
        Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; for repeated folds
        Bouckaert and Frank 2004, doi:10.1007/978-3-540-24775-3_3.
    """
    array = np.array(list(values), np.float64)
    error = array.std(ddof=1) * (1 / len(array) + ratio) ** 0.5
    mean = float(array.mean())
    low, high = mean + error * np.array(stats.t.interval(0.95, len(array) - 1))
    return mean, float(low), float(high)
