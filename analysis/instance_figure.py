"""Pictures of the test of instances: accuracy with each wiring, and variation."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import (
    draw_accuracies,
    draw_difference,
    paired_panels,
)
from ddw_graph.analysis.pictures import MARKERS, STYLE, plain
from ddw_graph.experiments.instances import WIRINGS

Rows = Sequence[Mapping[str, Any]]

WORDS = {
    "own": "own",
    "mean": "mean of training images",
    "class": "shuffled in the class",
    "shuffled": "shuffled",
}
"""What a picture or a table calls each kind of wirings."""


def instance_figure(rows: Rows, table: Rows) -> Figure:
    """Returns accuracies with each kind of wirings, and differences to the own.

    Args:
        rows: A row for each run and kind of wirings.
        table: Their summary, from ``instance_summary``.
    """
    entries = list(dict.fromkeys(row["entry"] for row in table))
    step = 0.8 / len(entries)
    height = 1.7 + (0.24 * len(WIRINGS) + 0.2) * len(entries)
    names = [WORDS[name] for name in WIRINGS]
    figure, left, right = paired_panels(names, height)
    for row in table:
        place = entries.index(row["entry"])
        y = WIRINGS.index(row["wiring"]) + (place - (len(entries) - 1) / 2) * step
        look = {"color": f"C{place}", "marker": MARKERS[place % len(MARKERS)]}
        runs = [
            run["accuracy"]
            for run in rows
            if (run["entry"], run["wiring"]) == (row["entry"], row["wiring"])
        ]
        label = plain(row["entry"]) if row["wiring"] == WIRINGS[0] else None
        draw_accuracies(left, y, runs, row["accuracy"], label=label, **look)
        draw_difference(right, y, row, "own_minus_this", **look)
    left.set(xlabel="test accuracy, % (line: mean)", title="With each wiring")
    right.set(
        xlabel="points, paired by seed",
        title="Own wiring minus this (95 % interval)",
    )
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def variation_figure(varied: Rows) -> Figure:
    """Returns which share of the weights' variance lies between images, by stage.

    Args:
        varied: A row for each run and stage.
    """
    entries = list(dict.fromkeys(row["entry"] for row in varied))
    stages = sorted({row["stage"] for row in varied})
    width = 0.8 / len(entries)
    panels = {
        "image_share": "Between images, of all variance",
        "class_share": "Between classes, of that",
    }
    with matplotlib.rc_context(fname=STYLE):
        figure = Figure(figsize=(8.5, 3.0 + 0.1 * len(entries)), layout="constrained")
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (column, title) in zip(axes, panels.items(), strict=True):
            for place, entry in enumerate(entries):
                shares = [
                    _mean(varied, entry=entry, stage=stage, column=column)
                    for stage in stages
                ]
                lift = (place - (len(entries) - 1) / 2) * width
                ax.bar(
                    np.array(stages) + lift,
                    [100 * share for share in shares],
                    0.9 * width,
                    color=f"C{place}",
                    label=plain(entry),
                )
            ax.set_xticks(stages)
            ax.set(title=title, xlabel="stage", ylim=(0, 100))
            ax.grid(False, axis="x")
        axes[0].set_ylabel("share, %")
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def _mean(varied: Rows, *, entry: str, stage: int, column: str) -> float:
    """Returns the mean over runs of a share, 0 where none has it."""
    shares = [
        row[column]
        for row in varied
        if (row["entry"], row["stage"]) == (entry, stage) and row[column] is not None
    ]
    return sum(shares) / len(shares) if shares else 0.0
