"""Wirings, and what networks do with them: tables, pictures, reports.

Names are imported when they are first used, so that pictures of wirings do without
torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import lazy_names

if TYPE_CHECKING:
    from ddw_graph.analysis.adjacency import adjacency_frame
    from ddw_graph.analysis.collect import collect, sample_table
    from ddw_graph.analysis.explorer.explore import explorer_page
    from ddw_graph.analysis.figures import (
        class_heatmaps,
        weight_heatmaps,
        weight_histograms,
    )
    from ddw_graph.analysis.learning.graphs import to_pyg
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.analysis.statistics.classes import (
        class_distance_table,
        class_share_table,
        class_table,
    )
    from ddw_graph.analysis.statistics.clusters import cluster_table
    from ddw_graph.analysis.statistics.difficulty import (
        difficulty_table,
        loss_group_table,
    )
    from ddw_graph.analysis.statistics.edges import depth_table, edge_table, stage_table
    from ddw_graph.analysis.statistics.information import information_table
    from ddw_graph.analysis.statistics.observations import observations
    from ddw_graph.analysis.statistics.paths import dominant_table, path_table
    from ddw_graph.analysis.statistics.unusual import unusual_table
    from ddw_graph.analysis.wiring_drawing import draw_wiring
    from ddw_graph.analysis.wiring_figures import sample_figure
    from ddw_graph.training.collection import Collection, collection_of, open_collection

__all__ = [
    "Collection",
    "adjacency_frame",
    "class_distance_table",
    "class_heatmaps",
    "class_share_table",
    "class_table",
    "cluster_table",
    "collect",
    "collection_of",
    "depth_table",
    "difficulty_table",
    "dominant_table",
    "draw_wiring",
    "edge_table",
    "explorer_page",
    "information_table",
    "loss_group_table",
    "observations",
    "open_collection",
    "path_table",
    "sample_figure",
    "sample_table",
    "save_figure",
    "stage_table",
    "to_pyg",
    "unusual_table",
    "weight_heatmaps",
    "weight_histograms",
]

_HOMES = {
    "Collection": "ddw_graph.training.collection",
    "adjacency_frame": "ddw_graph.analysis.adjacency",
    "class_distance_table": "ddw_graph.analysis.statistics.classes",
    "class_heatmaps": "ddw_graph.analysis.figures",
    "class_share_table": "ddw_graph.analysis.statistics.classes",
    "class_table": "ddw_graph.analysis.statistics.classes",
    "cluster_table": "ddw_graph.analysis.statistics.clusters",
    "collect": "ddw_graph.analysis.collect",
    "collection_of": "ddw_graph.training.collection",
    "depth_table": "ddw_graph.analysis.statistics.edges",
    "difficulty_table": "ddw_graph.analysis.statistics.difficulty",
    "dominant_table": "ddw_graph.analysis.statistics.paths",
    "draw_wiring": "ddw_graph.analysis.wiring_drawing",
    "edge_table": "ddw_graph.analysis.statistics.edges",
    "explorer_page": "ddw_graph.analysis.explorer.explore",
    "information_table": "ddw_graph.analysis.statistics.information",
    "loss_group_table": "ddw_graph.analysis.statistics.difficulty",
    "observations": "ddw_graph.analysis.statistics.observations",
    "open_collection": "ddw_graph.training.collection",
    "path_table": "ddw_graph.analysis.statistics.paths",
    "sample_figure": "ddw_graph.analysis.wiring_figures",
    "sample_table": "ddw_graph.analysis.collect",
    "save_figure": "ddw_graph.analysis.pictures",
    "stage_table": "ddw_graph.analysis.statistics.edges",
    "to_pyg": "ddw_graph.analysis.learning.graphs",
    "unusual_table": "ddw_graph.analysis.statistics.unusual",
    "weight_heatmaps": "ddw_graph.analysis.figures",
    "weight_histograms": "ddw_graph.analysis.figures",
}

__getattr__, __dir__ = lazy_names(__name__, _HOMES)
