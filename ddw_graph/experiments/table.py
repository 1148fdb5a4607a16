"""The table of an experiment: a row for each run that has finished."""

import statistics
from collections.abc import Sequence
from typing import Any

from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.plan import label
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.wiring import describe, from_dict


def graph_properties(wirings: Sequence[dict[str, Any]]) -> dict[str, float | None]:
    """Returns properties of a network's wirings, means over its stages.

    Returns:
        ``clustering`` and ``average_path_length`` of the nodes that compute, directions
        left aside, which are those of Xie et al. 2019 and You et al. 2020; the number
        of edges, the longest path, and the mean number of inputs of a node that
        computes. The length is None where no node of a stage reaches another.
    """
    found = [describe(from_dict(wiring)) for wiring in wirings]
    lengths = [
        d.average_path_length for d in found if d.average_path_length is not None
    ]
    return {
        "clustering": statistics.fmean(d.clustering or 0.0 for d in found),
        "average_path_length": statistics.fmean(lengths) if lengths else None,
        "graph_edges": statistics.fmean(d.edges for d in found),
        "depth": statistics.fmean(d.depth for d in found),
        "fan_in": statistics.fmean(statistics.fmean(d.in_degrees[1:-1]) for d in found),
    }


def table(folder: ExperimentFolder) -> list[dict[str, Any]]:
    """Returns a row for each run that has finished, in the order of the plan.

    Columns are ``entry`` (see ``label``), ``run``, ``model``, ``wiring`` and ``edges``,
    every other setting that varies, the seed, ``channels``, the figures of the result,
    and those of ``graph_properties``.
    """
    fixed = RunFolder(folder.path).content()["config"].get("fixed", {})
    rows = []
    for name in folder.planned():
        result = folder.result(name)
        if result is None:
            continue
        run = folder.plan(name)
        rows.append(
            {
                "entry": label(run.point),
                "run": name,
                "model": fixed.get("model", run.model["name"]),
                "wiring": fixed.get("wiring", "default"),
                "edges": fixed.get("edges", run.model["edges"].partition(":")[0]),
                **run.point,
                "seed": run.seed,
                "channels": run.model.get("channels"),
                **result,
                **graph_properties(run.model["wirings"]),
            }
        )
    return rows
