"""The tables of a collection by name."""

from collections.abc import Callable

import pandas as pd

from ddw_graph.analysis.statistics.classes import class_table, information_table
from ddw_graph.analysis.statistics.edges import weight_table
from ddw_graph.analysis.statistics.paths import dominant_table, path_table
from ddw_graph.analysis.statistics.positions import position_table, token_table
from ddw_graph.analysis.statistics.samples import difficulty_table, unusual_table

TABLES: dict[str, Callable[..., pd.DataFrame]] = {
    "weights": weight_table,
    "positions": position_table,
    "tokens": token_table,
    "classes": class_table,
    "information": information_table,
    "paths": path_table,
    "dominant": dominant_table,
    "unusual": unusual_table,
    "difficulty": difficulty_table,
}
"""Each returns a table of a collection; the first three take which edges are one row
(``by``)."""
