"""The report of the test of instances."""

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddw_graph.analysis.instance_figure import (
    WORDS,
    instance_figure,
    variation_figure,
)
from ddw_graph.analysis.learning_curves import Curves, curve_figure
from ddw_graph.analysis.markdown import interval, markdown_table, number
from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.experiments.instance_summary import instance_summary, verdicts

Rows = Sequence[Mapping[str, Any]]


def instance_table(table: Rows) -> str:
    """Returns the summary of a test of instances as a Markdown table."""
    return markdown_table(
        (
            "wiring and edges",
            "evaluated with the wiring",
            "seeds",
            "accuracy, %",
            "sd",
            "own minus this, points (95 % interval)",
            "loss",
            "predictions changed",
        ),
        (
            (
                row["entry"],
                WORDS[row["wiring"]],
                str(row["seeds"]),
                number(row["accuracy"], ".2f"),
                number(row["accuracy_std"], ".2f"),
                interval(
                    row["own_minus_this"],
                    row["own_minus_this_low"],
                    row["own_minus_this_high"],
                ),
                number(row["loss"], ".4f"),
                number(row["changed"], ".1f"),
            )
            for row in table
        ),
    )


def variation_table(varied: Rows) -> str:
    """Returns how wirings vary, means over seeds, as a Markdown table."""

    def mean(rows: Rows, column: str, form: str) -> str:
        values = [row[column] for row in rows if row[column] is not None]
        return number(statistics.fmean(values) if values else None, form)

    keys = dict.fromkeys((row["entry"], row["stage"]) for row in varied)
    lines = []
    for entry, stage in keys:
        rows = [r for r in varied if (r["entry"], r["stage"]) == (entry, stage)]
        lines.append(
            (
                entry,
                str(stage),
                str(rows[0]["edges"]),
                mean(rows, "std", ".4f"),
                mean(rows, "image_share", ".1%"),
                mean(rows, "class_share", ".1%"),
            )
        )
    return markdown_table(
        (
            "wiring and edges",
            "stage",
            "edges",
            "sd of a weight over images",
            "variance between images, of all",
            "between classes, of that",
        ),
        lines,
    )


def write_instances(
    rows: Rows,
    varied: Rows,
    folder: Path,
    *,
    runs: Rows = (),
    curves: Sequence[Curves] = (),
    about: Sequence[str] = (),
) -> list[Path]:
    """Writes the report of a test of instances, and returns the paths of its files.

    ``wirings.csv``, ``variation.csv``, ``summary.csv``, ``report.md``, and ``wirings``
    and ``variation`` as PNG and SVG.

    Args:
        rows: A row for each run and kind of wirings, from ``instance_tests``.
        varied: A row for each run and stage, from there too.
        folder: Where to.
        runs: A row for each run that was trained for it, for ``runs.csv``.
        curves: Their learning curves, for ``curves``.
        about: Paragraphs that say how the networks were trained.
    """
    files = ReportFiles(folder)
    table = instance_summary(rows)
    if runs:
        files.table("runs.csv", runs)
    if curves:
        files.picture("curves", curve_figure(curves))
    files.table("wirings.csv", rows)
    files.table("variation.csv", varied)
    files.table("summary.csv", table)
    files.picture("wirings", instance_figure(rows, table))
    files.picture("variation", variation_figure(varied))
    said = [f"- {entry}: {words}." for entry, words in verdicts(table).items()]
    differ = sum(row["changed"] for row in rows if row["wiring"] == "own")
    parts = [
        "# Instances: does a network need each image's own wiring?",
        *about,
        "Each trained network is evaluated on the test images with each image's own "
        "wiring, with the mean wiring of the training images, with that of another "
        "image of the class, and with that of any other image. "
        f"Given as an adjacency, the own wiring changes {differ} predictions of the "
        "plain evaluation.",
        "\n".join(said),
        instance_table(table).rstrip(),
        "![Accuracy with each wiring](wirings.png)",
        "Of the variance of all weights of a stage, a share lies between images and "
        "the rest between edges; of the share between images, a part lies between "
        "classes.",
        variation_table(varied).rstrip(),
        "![Shares of variance](variation.png)",
    ]
    files.text("report.md", "\n\n".join(parts) + "\n")
    return files.written
