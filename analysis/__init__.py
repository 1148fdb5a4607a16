"""Wirings, and what networks do with them: tables, pictures, reports.

Names are imported when they are first used, so that pictures of wirings do without
torch.
"""

from typing import TYPE_CHECKING

from ddw_graph.lazy import import_lazily

if TYPE_CHECKING:
    from ddw_graph.analysis.adjacency import adjacency_frame as adjacency_frame
    from ddw_graph.analysis.collect import collect as collect
    from ddw_graph.analysis.collect import keep_positions as keep_positions
    from ddw_graph.analysis.explorer.explore import explorer_page as explorer_page
    from ddw_graph.analysis.figures import class_heatmaps as class_heatmaps
    from ddw_graph.analysis.figures import weight_heatmaps as weight_heatmaps
    from ddw_graph.analysis.figures import weight_histograms as weight_histograms
    from ddw_graph.analysis.learning.graphs import to_pyg as to_pyg
    from ddw_graph.analysis.pictures import save_figure as save_figure
    from ddw_graph.analysis.position_figures import position_figure as position_figure
    from ddw_graph.analysis.position_figures import position_maps as position_maps
    from ddw_graph.analysis.position_figures import token_figure as token_figure
    from ddw_graph.analysis.statistics.classes import class_table as class_table
    from ddw_graph.analysis.statistics.classes import (
        information_table as information_table,
    )
    from ddw_graph.analysis.statistics.edges import edge_table as edge_table
    from ddw_graph.analysis.statistics.edges import weight_table as weight_table
    from ddw_graph.analysis.statistics.observations import observations as observations
    from ddw_graph.analysis.statistics.paths import dominant_table as dominant_table
    from ddw_graph.analysis.statistics.paths import path_table as path_table
    from ddw_graph.analysis.statistics.positions import position_table as position_table
    from ddw_graph.analysis.statistics.positions import token_table as token_table
    from ddw_graph.analysis.statistics.samples import (
        difficulty_table as difficulty_table,
    )
    from ddw_graph.analysis.statistics.samples import sample_table as sample_table
    from ddw_graph.analysis.statistics.samples import unusual_table as unusual_table
    from ddw_graph.analysis.wiring_drawing import draw_wiring as draw_wiring
    from ddw_graph.analysis.wiring_figures import sample_figure as sample_figure
    from ddw_graph.training.collecting import collection_of as collection_of
    from ddw_graph.training.collection import Collection as Collection
    from ddw_graph.training.collection import open_collection as open_collection

import_lazily(__name__)
