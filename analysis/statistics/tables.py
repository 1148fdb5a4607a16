"""The tables of a collection by name."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from ddw_graph.analysis.statistics.classes import (
    class_distance_table,
    class_share_table,
    class_table,
)
from ddw_graph.analysis.statistics.clusters import cluster_table
from ddw_graph.analysis.statistics.difficulty import difficulty_table, loss_group_table
from ddw_graph.analysis.statistics.edges import (
    depth_table,
    edge_table,
    node_table,
    stage_table,
)
from ddw_graph.analysis.statistics.information import information_table
from ddw_graph.analysis.statistics.paths import dominant_table, path_table
from ddw_graph.analysis.statistics.positions import position_table, token_table
from ddw_graph.analysis.statistics.unusual import unusual_table

TABLES: dict[str, Callable[..., pd.DataFrame]] = {
    "edges": edge_table,
    "stages": stage_table,
    "classes": class_table,
    "class-share": class_share_table,
    "class-distances": class_distance_table,
    "depths": depth_table,
    "sources": partial(node_table, by="source"),
    "targets": partial(node_table, by="target"),
    "distances": partial(node_table, by="distance"),
    "positions": position_table,
    "tokens": token_table,
    "information": information_table,
    "paths": path_table,
    "dominant": dominant_table,
    "unusual": unusual_table,
    "clusters": cluster_table,
    "difficulty": difficulty_table,
    "loss-groups": loss_group_table,
}
"""Each returns a table of a collection; some take settings by name."""
