"""The observations of section 4.5 of the paper, tested on a trained network."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import rankdata

from ddw_graph.errors import DataError

PERMUTATIONS = 9_999
LEVEL = 0.05


@dataclass(frozen=True)
class Observation:
    """Something that the paper saw in its networks, as a trend that can be tested.

    Args:
        name: A word for it.
        claim: The paper's, in a sentence.
        column: Of the table of edges, what the trend is in.
        along: ``node``: nodes of a stage in topological order. ``stage``: stages.
        sign: 1 where it rises along that, -1 where it falls.
    """

    name: str
    claim: str
    column: str
    along: str
    sign: int


OBSERVATIONS = (
    Observation(
        "front-weights",
        "output edges of nodes in the front have larger weights",
        "mean",
        "node",
        -1,
    ),
    Observation(
        "rear-variance",
        "output edges of nodes in the back vary more over samples",
        "std",
        "node",
        1,
    ),
    Observation(
        "deep-variance",
        "edges of deeper stages vary more over samples",
        "std",
        "stage",
        1,
    ),
)


def observation_table(edges: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Returns a row for each observation: whether a network agrees, and how clearly.

    Along nodes: a node's value is the mean of its weighted output edges; the
    correlation is Spearman's of position and value in a stage, in the mean of stages by
    their nodes; the effect is the mean of the rear half of nodes less that of the front
    half. Along stages: the correlation is over all weighted edges; the effect is the
    mean of the last stage less that of the first.

    The network agrees where the trend has the paper's sign and orders drawn at random
    (of nodes in their stage, or of edges over stages) give one as strong in at most 5 %
    of cases. It disagrees where the same holds of the other sign.

    Args:
        edges: A table of ``edge_table``.
        seed: Fixes the orders that are drawn.

    Returns:
        Columns ``observation``, ``claim``, ``holds`` (``yes``, ``no`` where the
        opposite holds, ``unclear``), ``correlation``, ``effect``, ``relative`` (the
        effect over the mean of all weighted edges), ``p`` (of one side, the paper's).

    Raises:
        DataError: If every edge is constant.

    Source:
        DDW, section 4.5.
    """
    weighted = edges[~edges["constant"]]
    if weighted.empty:
        raise DataError("observations need edges that carry weights, all are constant")
    generator = np.random.default_rng(seed)
    return pd.DataFrame([_row(each, weighted, generator) for each in OBSERVATIONS])


def observation_summary(tables: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each observation over several networks.

    Args:
        tables: Those of ``observation_table``, one below the other.

    Returns:
        Columns ``observation``, ``claim``, ``yes``, ``no``, ``unclear`` (networks),
        and the mean and the standard deviation over networks of ``correlation`` and
        ``relative``.
    """
    told = {answer: tables["holds"] == answer for answer in ("yes", "no", "unclear")}
    tables = tables.assign(**told)
    groups = tables.groupby(["observation", "claim"], sort=False)
    answers = {answer: groups[answer].sum() for answer in told}
    sizes = {
        f"{column}{suffix}": getattr(groups[column], how)()
        for column in ("correlation", "relative")
        for suffix, how in (("", "mean"), ("_std", "std"))
    }
    return pd.DataFrame({**answers, **sizes}).reset_index()


def _row(
    observation: Observation, edges: pd.DataFrame, generator: np.random.Generator
) -> dict[str, object]:
    if observation.along == "node":
        values = edges.groupby(["stage", "source"])[observation.column].mean()
        groups = [
            (of_stage.index.get_level_values("source").to_numpy(), of_stage.to_numpy())
            for _, of_stage in values.groupby("stage")
        ]
    else:
        groups = [(edges["stage"].to_numpy(), edges[observation.column].to_numpy())]
    # One place, or one value, has no order.
    ordered = [
        (places, values)
        for places, values in groups
        if len(set(places)) > 1 and len(set(values)) > 1
    ]
    row: dict[str, object] = {
        "observation": observation.name,
        "claim": observation.claim,
        "holds": "unclear",
        "correlation": np.nan,
        "effect": np.nan,
        "relative": np.nan,
        "p": np.nan,
    }
    if not ordered:
        return row
    found, drawn = _trend(ordered, generator)
    effect = float(np.mean([_difference(*group) for group in ordered]))
    tolerance = 1e-12  # equal orders, summed otherwise
    agreeing, opposing = (
        (1 + int((drawn * sign >= found * sign - tolerance).sum())) / (len(drawn) + 1)
        for sign in (observation.sign, -observation.sign)
    )
    holds = "yes" if agreeing <= LEVEL else "no" if opposing <= LEVEL else "unclear"
    size = float(edges[observation.column].abs().mean())
    return row | {
        "holds": holds,
        "correlation": found,
        "effect": effect,
        "relative": effect / size if size else np.nan,
        "p": agreeing,
    }


def _trend(
    groups: Sequence[tuple[Int[np.ndarray, " _"], Float[np.ndarray, " _"]]],
    generator: np.random.Generator,
) -> tuple[float, Float[np.ndarray, " draws"]]:
    """Returns the mean correlation of groups, and what orders at random give."""
    found = 0.0
    drawn = np.zeros(PERMUTATIONS)
    total = sum(len(values) for _, values in groups)
    for places, values in groups:
        one, other = _standardised(places), _standardised(values)
        share = len(values) / total
        found += share * float(one @ other)
        for draw in range(PERMUTATIONS):
            drawn[draw] += share * float(one @ generator.permutation(other))
    return found, drawn


def _standardised(values: np.ndarray) -> Float[np.ndarray, " some"]:
    """Returns ranks of mean 0 and length 1: their product is Spearman's correlation."""
    ranks = rankdata(values)
    ranks -= ranks.mean()
    scaled: np.ndarray = ranks / np.linalg.norm(ranks)
    return scaled


def _difference(
    places: Int[np.ndarray, " some"], values: Float[np.ndarray, " some"]
) -> float:
    """Returns the mean of the last places less that of the first: halves, or ends.

    Of nodes, of which each place has one value, the halves; the middle one is left out
    where their number is odd. Of stages the first and the last.
    """
    known = np.unique(places)
    half = len(known) // 2 if len(known) == len(places) else 1
    first, last = np.isin(places, known[:half]), np.isin(places, known[-half:])
    return float(values[last].mean() - values[first].mean())
