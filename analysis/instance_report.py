"""The report of the test of instances: tables, accuracies, shares of variance."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ddw_graph.analysis.comparison_figures import (
    draw_difference,
    draw_scores,
    paired_panels,
)
from ddw_graph.analysis.pictures import MARKERS, legend_below, panels, plain, styled
from ddw_graph.analysis.report_files import (
    Column,
    difference,
    markdown_table,
    write_files,
)
from ddw_graph.experiments.instance_summary import instance_summary, verdicts
from ddw_graph.experiments.instances import WIRINGS

Rows = Sequence[Mapping[str, Any]]

WORDS = {
    "own": "own",
    "mean": "mean of training images",
    "class": "shuffled in the class",
    "shuffled": "shuffled",
}
"""What a picture or a table calls each kind of wirings."""


def instance_table(table: Rows) -> str:
    """Returns the summary of a test of instances as a Markdown table."""
    columns: dict[str, Column] = {
        "wiring and edges": "{entry}",
        "evaluated with the wiring": lambda row: WORDS[row["wiring"]],
        "seeds": "{seeds}",
        "accuracy, %": "{accuracy:.2f}",
        "std": "{accuracy_std:.2f}",
        "own minus this, points (95 % interval)": difference("own_minus_this"),
        "loss": "{loss:.4f}",
        "predictions changed": "{changed:.1f}",
    }
    return markdown_table(columns, table)


def variation_table(varied: Rows) -> str:
    """Returns how wirings vary, means over seeds, as a Markdown table."""
    columns = {
        "wiring and edges": "{entry}",
        "stage": "{stage}",
        "edges": "{edges}",
        "std of a weight over images": "{std:.4f}",
        "variance between images, of all": "{image_share:.1%}",
        "between classes, of that": "{class_share:.1%}",
    }
    return markdown_table(columns, _varied_means(varied))


def _varied_means(varied: Rows) -> pd.DataFrame:
    """Returns a row for each entry and stage: means over its runs."""
    shares = ["std", "image_share", "class_share"]
    table = pd.DataFrame(varied).astype(dict.fromkeys(shares, float))
    groups = table.groupby(["entry", "stage"], sort=False, as_index=False)
    return groups.agg({"edges": "first", **dict.fromkeys(shares, "mean")})


@styled
def instance_figure(rows: Rows, table: Rows) -> Figure:
    """Returns accuracies with each kind of wirings, and differences to the own."""
    entries = list(dict.fromkeys(row["entry"] for row in table))
    height = 1.7 + (0.24 * len(WIRINGS) + 0.2) * len(entries)
    figure, left, right = paired_panels([WORDS[name] for name in WIRINGS], height)
    for row in table:
        place = entries.index(row["entry"])
        y = WIRINGS.index(row["wiring"]) + _offset(place, len(entries))
        look = {"color": f"C{place}", "marker": MARKERS[place % len(MARKERS)]}
        runs = [
            100 * run["accuracy"]
            for run in rows
            if (run["entry"], run["wiring"]) == (row["entry"], row["wiring"])
        ]
        label = plain(row["entry"])
        draw_scores(left, y, runs, row["accuracy"], label=label, **look)
        draw_difference(right, y, row, "own_minus_this", **look)
    left.set(xlabel="test accuracy, % (line: mean)", title="With each wiring")
    right.set_xlabel("points, paired by seed")
    right.set_title("Own wiring minus this (95 % interval)")
    legend_below(figure, [left])
    return figure


@styled
def variation_figure(varied: Rows) -> Figure:
    """Returns which share of the weights' variance lies between images, by stage."""
    means = _varied_means(varied)
    entries = list(means.groupby("entry", sort=False))
    figure, (axes,) = panels(1, 2, (8.5, 3.0 + 0.1 * len(entries)), sharey=True)
    for ax, column in zip(axes, ("image_share", "class_share"), strict=True):
        for place, (entry, rows) in enumerate(entries):
            ax.bar(
                rows["stage"] + _offset(place, len(entries)),
                100 * rows[column].fillna(0.0),
                0.72 / len(entries),
                color=f"C{place}",
                label=plain(str(entry)),
            )
        ax.set_xticks(np.unique(means["stage"]))
        ax.set(xlabel="stage", ylim=(0, 100))
        ax.grid(False, axis="x")
    axes[0].set(ylabel="share, %", title="Between images, of all variance")
    axes[1].set_title("Between classes, of that")
    legend_below(figure, axes)
    return figure


def _offset(place: int, count: int) -> float:
    """Returns where one of some entries stands beside a whole number."""
    return 0.8 * ((place + 0.5) / count - 0.5)


def write_instances(rows: Rows, varied: Rows, folder: Path) -> list[Path]:
    """Writes the report of a test of instances, and returns the paths of its files.

    ``wirings.csv``, ``variation.csv``, ``summary.csv``, ``report.md``, ``wirings.png``
    and ``variation.png``.

    Args:
        rows: A row for each run and kind of wirings, from ``instance_tests``.
        varied: A row for each run and stage, from there too.
    """
    table = instance_summary(rows)
    lines = [f"- {entry}: {words}." for entry, words in verdicts(table).items()]
    differ = sum(row["changed"] for row in rows if row["wiring"] == "own")
    parts = [
        "# Instances: does a network need each image's own wiring?",
        "Each trained network is evaluated on the test images with each image's own "
        "wiring, with the mean wiring of the training images, with that of another "
        "image of the class, and with that of any other image. "
        f"Given as an adjacency, the own wiring changes {differ} predictions of the "
        "plain evaluation.",
        "\n".join(lines),
        instance_table(table).rstrip(),
        "![Accuracy with each wiring](wirings.png)",
        "Of the variance of all weights of a stage, a share lies between images and "
        "the rest between edges; of the share between images, a part lies between "
        "classes.",
        variation_table(varied).rstrip(),
        "![Shares of variance](variation.png)",
    ]
    return write_files(
        folder,
        tables={"wirings": rows, "variation": varied, "summary": table},
        texts={"report.md": "\n\n".join(parts) + "\n"},
        pictures={
            "wirings": instance_figure(rows, table),
            "variation": variation_figure(varied),
        },
    )
