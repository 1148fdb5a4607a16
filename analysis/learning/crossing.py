"""Models beside each other on what each fold holds out, and what is told of that."""

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped
from scipy import stats

from ddw_graph.errors import DataError
from ddw_graph.experiments.summary import Difference

NETWORK = "graph network"

Places = Int[np.ndarray, " _"]
Told = Shaped[np.ndarray, " _"]
Model = Callable[[Places, Places, tuple[int, ...]], Told]
"""Learns from some items and tells of others; also takes a seed, of several numbers."""


@dataclass(frozen=True)
class Crossed:
    """What each model told of a fold.

    Args:
        repeat: Which division into folds, from 0.
        fold: Which fold, from 0.
        learned: How many items the models learned from.
        held_out: Numbers of the items that were held out.
        told: What each model told of them.
    """

    repeat: int
    fold: int
    learned: int
    held_out: Places
    told: dict[str, Told]


def crossed(
    models: Mapping[str, Model],
    divisions: Sequence[Places],
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Crossed]:
    """Yields what models tell of each fold of each division, having seen the others.

    All models learn from the same items, so that their scores on a fold may be paired.

    Args:
        models: By name.
        divisions: For each repeat the fold of each item.
        seed: Fixes what models draw.
        progress: Hears of folds done and folds in all.
    """
    total = sum(int(division.max()) + 1 for division in divisions)
    done = 0
    for repeat, division in enumerate(divisions):
        for fold in range(int(division.max()) + 1):
            held_out = np.flatnonzero(division == fold)
            others = np.flatnonzero(division != fold)
            key = (seed, repeat, fold)
            yield Crossed(
                repeat,
                fold,
                len(others),
                held_out,
                {name: model(others, held_out, key) for name, model in models.items()},
            )
            done += 1
            if progress:
                progress(done, total)


def fold_table(
    found: Sequence[Crossed], measure: str, score: Callable[[Told, Places], float]
) -> list[dict[str, Any]]:
    """Returns a row for each fold and model with the score of what was told.

    Args:
        found: What was told.
        measure: The score's name.
        score: Of what a model told, and of which items.
    """
    return [
        {
            "repeat": part.repeat,
            "fold": part.fold,
            "model": name,
            "learned_from": part.learned,
            "held_out": len(part.held_out),
            measure: score(said, part.held_out),
        }
        for part in found
        for name, said in part.told.items()
    ]


def summary_table(
    folds: Sequence[Mapping[str, Any]],
    measure: str,
    gain: str,
    *,
    sign: int,
    scale: float = 1.0,
    more: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[dict[str, Any]]:
    """Returns a row for each model: its mean score, and the graph network's gain.

    Args:
        folds: A table of ``fold_table``.
        measure: The score's name.
        gain: The name of the gain, which has a 95 % interval.
        sign: 1 where a larger score is better, -1 where a smaller one is.
        scale: What scores are multiplied by.
        more: What else is told of each model.
    """
    by_model: dict[str, list[float]] = {}
    for row in folds:
        by_model.setdefault(row["model"], []).append(scale * row[measure])
    ratio = statistics.fmean(row["held_out"] / row["learned_from"] for row in folds)
    summary = []
    for name, values in by_model.items():
        about: dict[str, Any] = {
            "model": name,
            measure: statistics.fmean(values),
            f"{measure}_std": statistics.stdev(values),
            **((more or {}).get(name, {})),
        }
        if name != NETWORK:
            pairs = zip(by_model[NETWORK], values, strict=True)
            found = fold_difference([sign * (a - b) for a, b in pairs], ratio)
            about |= {
                gain: found.mean,
                "low": found.low,
                "high": found.high,
                "network": verdict(found),
            }
        summary.append(about)
    return summary


def fold_difference(values: Sequence[float], ratio: float) -> Difference:
    """Returns the mean of differences over folds with its 95 % interval.

    Folds learn from much the same items, so their differences vary together, and the
    usual interval would be too narrow: the variance of the mean takes the ratio of
    items held out to items learned from in addition to one over the folds.

    Args:
        values: A difference for each fold of each repeat.
        ratio: Items held out for each item learned from.

    Raises:
        DataError: If there are fewer than two values.

    Example:
        >>> found = fold_difference([0.1, 0.2, 0.3], 0.5)
        >>> print(f"{found.low:.3f} to {found.high:.3f}")
        -0.193 to 0.593

    Source:
        Nadeau and Bengio 2003, doi:10.1023/A:1024068626366; for repeated folds
        Bouckaert and Frank 2004, doi:10.1007/978-3-540-24775-3_3.
    """
    count = len(values)
    if count < 2:
        raise DataError(f"an interval needs at least two folds, got {count}")
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(stats.t.ppf(0.975, count - 1)) * std * (1 / count + ratio) ** 0.5
    return Difference(mean, mean - half, mean + half)


def verdict(difference: Difference) -> str:
    """Returns what the interval of the network's gain over a model says.

    Example:
        >>> verdict(Difference(0.1, 0.05, 0.15)), verdict(Difference(0.1, -0.1, 0.3))
        ('beats', 'is not told apart from')
    """
    assert difference.low is not None and difference.high is not None
    if difference.low > 0:
        return "beats"
    return "is worse than" if difference.high < 0 else "is not told apart from"
