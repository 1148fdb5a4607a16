"""How everything is timed: in turns, one row of the table for each variant."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ddw_graph.nn.measurement import Act, paired_times

Row = dict[str, Any]


@dataclass(frozen=True)
class Clock:
    """Times variants of a case in turns.

    Args:
        rounds: Paired times of each variant.
        progress: Called with what is measured next.
    """

    rounds: int = 15
    device: str = "cpu"
    progress: Callable[[str], object] = lambda text: None

    def rows(
        self,
        subject: str,
        case: str,
        acts: Mapping[str, Act],
        figures: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> list[Row]:
        """Returns a row for each act: its median time and its ratio to the first.

        A ratio is the median over rounds of the time over the first act's in the same
        round; ``ratio_low`` and ``ratio_high`` are the quartiles.

        Args:
            case: What the acts have in common.
            figures: Further columns, by variant.

        Example:
            >>> rows = Clock(rounds=3).rows("sums", "small", {"a": list, "b": dict})
            >>> [(row["variant"], row["ratio"]) for row in rows[:1]]
            [('a', 1.0)]
        """
        self.progress(f"{subject}: {case}")
        times = paired_times(acts, rounds=self.rounds, warmup=2)
        first = next(iter(times.values()))
        rows = []
        for variant, seconds in times.items():
            low, ratio, high = np.quantile(np.divide(seconds, first), (0.25, 0.5, 0.75))
            row: Row = {"subject": subject, "case": case, "variant": variant}
            row |= {"ms": 1e3 * statistics.median(seconds), "ratio": float(ratio)}
            row |= {"ratio_low": float(low), "ratio_high": float(high)}
            rows.append(row | dict((figures or {}).get(variant, {})))
        return rows
