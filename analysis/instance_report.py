"""The report of the test of instances."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ddw_graph.analysis.instance_figure import (
    WORDS,
    instance_figure,
    variation_figure,
)
from ddw_graph.analysis.learning_curves import Curves, curve_figure
from ddw_graph.analysis.markdown import difference, figure, markdown_rows, text
from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.experiments.instance_summary import instance_summary, verdicts

Rows = Sequence[Mapping[str, Any]]


def instance_table(table: Rows) -> str:
    """Returns the summary of a test of instances as a Markdown table."""
    columns = {
        "wiring and edges": text("entry"),
        "evaluated with the wiring": lambda row: WORDS[row["wiring"]],
        "seeds": text("seeds"),
        "accuracy, %": figure("accuracy", ".2f"),
        "sd": figure("accuracy_std", ".2f"),
        "own minus this, points (95 % interval)": difference("own_minus_this"),
        "loss": figure("loss", ".4f"),
        "predictions changed": figure("changed", ".1f"),
    }
    return markdown_rows(columns, table)


def variation_table(varied: Rows) -> str:
    """Returns how wirings vary, means over seeds, as a Markdown table."""
    columns = {
        "wiring and edges": text("entry"),
        "stage": text("stage"),
        "edges": text("edges"),
        "sd of a weight over images": figure("std", ".4f"),
        "variance between images, of all": figure("image_share", ".1%"),
        "between classes, of that": figure("class_share", ".1%"),
    }
    table = pd.DataFrame(varied)
    shares = ["std", "image_share", "class_share"]
    table[shares] = table[shares].astype(float)
    groups = table.groupby(["entry", "stage"], sort=False, as_index=False)
    means = groups.agg({"edges": "first", **dict.fromkeys(shares, "mean")})
    known: Any = means.astype(object).where(means.notna(), None)
    return markdown_rows(columns, known.to_dict("records"))


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
        about: Paragraphs on how the networks were trained.
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
    lines = [f"- {entry}: {words}." for entry, words in verdicts(table).items()]
    differ = sum(row["changed"] for row in rows if row["wiring"] == "own")
    parts = [
        "# Instances: does a network need each image's own wiring?",
        *about,
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
    files.text("report.md", "\n\n".join(parts) + "\n")
    return files.written
