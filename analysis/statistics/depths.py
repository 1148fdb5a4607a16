"""Edge weights by where in a stage their ends lie."""

import pandas as pd

from ddw_graph.training.collection import Collection, StageEdges
from ddw_graph.wiring.description import longest_path_layers


def node_depths(stage: StageEdges) -> list[int]:
    """Returns each node's depth: edges on the longest path from the input."""
    return longest_path_layers(stage.dag())


def depth_table(collection: Collection, edges: pd.DataFrame) -> pd.DataFrame:
    """Returns a row for each depth of source and target in each stage.

    Args:
        collection: What was collected.
        edges: Its table of ``edge_table``; constant edges are left out.

    Returns:
        Columns ``stage``, ``source_depth``, ``target_depth``, ``edges``, ``mean`` (of
        their means), ``std`` (mean of their deviations over samples), ``open``.
    """
    weighted = edges[~edges["constant"]].copy()
    depths = [node_depths(stage) for stage in collection.stages]
    for end in ("source", "target"):
        weighted[f"{end}_depth"] = [
            depths[stage - 1][node]
            for stage, node in zip(weighted["stage"], weighted[end], strict=True)
        ]
    groups = weighted.groupby(["stage", "source_depth", "target_depth"])
    return groups.agg(
        edges=("mean", "size"),
        mean=("mean", "mean"),
        std=("std", "mean"),
        open=("open", "mean"),
    ).reset_index()
