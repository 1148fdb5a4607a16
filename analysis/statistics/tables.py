"""The tables of an analysis by name."""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

from ddw_graph.analysis.statistics.classes import (
    class_distance_table,
    class_share_table,
    class_table,
)
from ddw_graph.analysis.statistics.clusters import cluster_table, wiring_clusters
from ddw_graph.analysis.statistics.depths import depth_table
from ddw_graph.analysis.statistics.difficulty import (
    difficulty_table,
    loss_group_table,
    sample_measures,
)
from ddw_graph.analysis.statistics.edges import edge_table, stage_table
from ddw_graph.analysis.statistics.information import information_table
from ddw_graph.analysis.statistics.paths import dominant_table, path_table
from ddw_graph.analysis.statistics.unusual import unusual_table
from ddw_graph.training.collection import Collection


@dataclass(frozen=True)
class Settings:
    """What tables take beside a collection.

    Args:
        levels: Of ``information``: levels of an open edge.
        clusters: Of ``clusters``: how many.
        groups: Of ``loss-groups``: how many.
        seed: Of ``clusters``: fixes where they begin.
    """

    levels: int = 8
    clusters: int = 10
    groups: int = 10
    seed: int = 0


def _clusters(collection: Collection, settings: Settings) -> pd.DataFrame:
    found = wiring_clusters(collection, clusters=settings.clusters, seed=settings.seed)
    return cluster_table(collection, found)


TABLES: dict[str, Callable[[Collection, Settings], pd.DataFrame]] = {
    "edges": lambda found, _: edge_table(found),
    "stages": lambda found, _: stage_table(edge_table(found)),
    "classes": lambda found, _: class_table(found),
    "class-share": lambda found, _: class_share_table(found),
    "class-distances": lambda found, _: class_distance_table(found),
    "depths": lambda found, _: depth_table(found, edge_table(found)),
    "information": lambda found, settings: information_table(
        found, edge_table(found), levels=settings.levels
    ),
    "paths": lambda found, _: path_table(found),
    "dominant": lambda found, _: dominant_table(path_table(found)),
    "unusual": lambda found, _: unusual_table(found),
    "clusters": _clusters,
    "difficulty": lambda found, _: difficulty_table(sample_measures(found)),
    "loss-groups": lambda found, settings: loss_group_table(
        sample_measures(found), groups=settings.groups
    ),
}
"""What there is; each returns a table of its own columns."""
