"""The observations of section 4.5 of the paper, tested on a trained network."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy.stats import ttest_ind

from ddw_graph.analysis.statistics.edges import check_weighted, edge_table
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection

SMALLEST = 0.05
"""The smallest relevant effect: 5 % of the mean over all weighted edges."""

ANSWERS = ("yes", "no", "no significant effect")


class Observation(NamedTuple):
    """A difference that the paper saw in its networks.

    Args:
        claim: The paper's, in a sentence.
        column: The column of ``edge_table`` that differs.
        along: ``node``: front and rear nodes. ``stage``: the first and the last stage.
        sign: 1 where the rear or the last is larger, -1 where it is smaller.
    """

    claim: str
    column: str
    along: str
    sign: int


OBSERVATIONS = {
    "front-weights": Observation(
        "output edges of nodes in the front have larger weights", "mean", "node", -1
    ),
    "rear-variance": Observation(
        "output edges of nodes in the back vary more over samples", "std", "node", 1
    ),
    "deep-variance": Observation(
        "edges of deeper stages vary more over samples", "std", "stage", 1
    ),
}


def observations(
    trained: Collection, untrained: Collection, *, smallest: float = SMALLEST
) -> pd.DataFrame:
    """Returns a row for each observation: whether training a network brings it about.

    The effect is a difference between two groups, relative to the mean over all
    weighted edges, positive where it agrees with the paper. Along nodes: a node's value
    is the mean of its weighted output edges minus the mean of its stage; the front half
    of each stage's nodes is compared with the rear half. Along stages: the edges of the
    first stage are compared with those of the last. The interval is Welch's of 95 %.

    - ``yes``: the interval is above ``smallest``, and the untrained network's effect is
      not;
    - ``no``: the interval is below ``-smallest``, the paper's opposite, and the
      untrained network's effect is not;
    - ``no significant effect``: otherwise.

    Args:
        trained: Weights of a trained network.
        untrained: Weights of the same network before training, with the same wirings,
            for the same samples.
        smallest: The smallest relevant effect, above 0.

    Returns:
        Columns ``observation``, ``claim``, ``holds``, ``relative`` (the effect),
        ``low``, ``high`` (its interval), ``untrained`` (the untrained network's
        effect).

    Raises:
        DataError: If every edge is constant, the collections are of other wirings or
            samples, or ``smallest`` is not above 0.

    Source:
        DDW, section 4.5. Interval: Welch 1947.
    """
    if not smallest > 0:
        raise DataError(f"smallest must be above 0, got {smallest}")
    wirings, others = (
        [stage.edges.tolist() for stage in each.stages] for each in (trained, untrained)
    )
    if wirings != others:
        raise DataError(
            "the untrained network must have the wirings of the trained one"
        )
    labels, others = (
        each.columns.get("label", np.empty(0)).tolist() for each in (trained, untrained)
    )
    if trained.samples != untrained.samples or labels != others:
        raise DataError(
            f"both networks must be given the same samples, got {trained.samples} and "
            f"{untrained.samples}, or others"
        )
    check_weighted(trained)
    tables = [edge_table(each) for each in (trained, untrained)]
    edges, before = (table[~table["constant"]] for table in tables)
    rows = []
    for name, each in OBSERVATIONS.items():
        relative, low, high = _effect(each, edges)
        untrained_effect, *_ = _effect(each, before)
        holds = ANSWERS[2]
        if low > smallest >= untrained_effect:
            holds = ANSWERS[0]
        elif high < -smallest <= untrained_effect:
            holds = ANSWERS[1]
        rows.append(
            (name, each.claim, holds, relative, low, high, untrained_effect),
        )
    columns = "observation claim holds relative low high untrained".split()
    return pd.DataFrame(rows, columns=columns)


def observation_summary(tables: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each observation over several networks.

    Args:
        tables: Those of ``observations``, concatenated.

    Returns:
        Columns ``observation``, ``claim``, the number of networks with each answer, and
        mean and standard deviation over networks of ``relative``.
    """
    answers = {name: tables["holds"] == name for name in ANSWERS}
    groups = tables.assign(**answers).groupby(["observation", "claim"], sort=False)
    effects = groups["relative"].agg(relative="mean", relative_std="std")
    return groups[list(ANSWERS)].sum().join(effects).reset_index()


def _effect(
    observation: Observation, edges: pd.DataFrame
) -> tuple[float, float, float]:
    """Returns the difference between the two groups, relative, with its interval.

    The middle node of a stage is left out where their number is odd.
    """
    values, stage = edges[observation.column], edges["stage"]
    size = float(values.abs().mean())
    if not size:
        return 0.0, 0.0, 0.0
    if observation.along == "stage":
        is_first = (stage == stage.min()) & (stage < stage.max())
        is_last = stage == stage.max()
    else:
        values = values.groupby([stage, edges["source"]]).mean()
        by_stage = values.groupby("stage")
        values = values - by_stage.transform("mean")
        ranks, count = by_stage.cumcount() + 1, by_stage.transform("size")
        is_first, is_last = ranks <= count // 2, ranks > count - count // 2
    last, first = (
        observation.sign * values[group].to_numpy() / size
        for group in (is_last, is_first)
    )
    if min(len(first), len(last)) < 2:
        return 0.0, -np.inf, np.inf
    effect = float(last.mean() - first.mean())
    if not np.ptp(last) and not np.ptp(first):  # without any variance
        return effect, effect, effect
    found = ttest_ind(last, first, equal_var=False).confidence_interval(0.95)
    return effect, float(found.low), float(found.high)
