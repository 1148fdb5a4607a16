"""The report of a test of what wirings tell: tables and words."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ddw_graph.analysis.learning.class_test import ClassTest
from ddw_graph.analysis.learning.crossing import NETWORK
from ddw_graph.analysis.learning.fitting import Fitting
from ddw_graph.analysis.learning.result_test import ResultTest
from ddw_graph.analysis.learning.run_graphs import Runs
from ddw_graph.analysis.markdown import markdown_table, number
from ddw_graph.analysis.report_files import ReportFiles
from ddw_graph.atomic import check_free
from ddw_graph.errors import FileError

FILES = ("folds.csv", "predictions.csv", "summary.csv", "report.md")
"""What ``write_test`` writes."""

Rows = Sequence[Mapping[str, Any]]


def class_table(summary: Rows) -> str:
    """Returns the summary of a test of classes as a Markdown table."""
    return markdown_table(
        ("model", "accuracy, %", "sd", "graph network minus this (95 % interval)"),
        (
            (
                row["model"],
                number(row["accuracy"], ".2f"),
                number(row["accuracy_std"], ".2f"),
                _interval(row, "network_minus_this"),
            )
            for row in summary
        ),
    )


def result_table(summary: Rows) -> str:
    """Returns the summary of a test of results as a Markdown table."""
    return markdown_table(
        ("model", "mean error", "sd", "R²", "this minus graph network (95 % interval)"),
        (
            (
                row["model"],
                number(row["error"], ".4g"),
                number(row["error_std"], ".2g"),
                number(row["r2"], ".2f"),
                _interval(row, "this_minus_network"),
            )
            for row in summary
        ),
    )


def verdict_words(summary: Rows) -> list[str]:
    """Returns what the graph network is, beside each other model.

    Example:
        >>> verdict_words([{"model": "mean", "network": "beats"}])
        ['the graph network beats mean']
    """
    rows = [row for row in summary if row["model"] != NETWORK]
    return [f"the {NETWORK} {row['network']} {row['model']}" for row in rows]


def class_words(test: ClassTest, fitting: Fitting, seed: int) -> str:
    """Returns of what a test of classes is, in a sentence or two."""
    return (
        f"{test.samples} samples of {test.classes} classes; {test.edges} edges differ "
        f"between samples. {_words(test.folds, fitting, seed)}"
    )


def result_words(
    test: ResultTest, runs: Runs, target: str, fitting: Fitting, seed: int
) -> str:
    """Returns of what a test of results is, in a sentence or two."""
    few = " So few say little." if test.wirings < 50 else ""
    others = (
        f" Beside the wirings there differ {', '.join(runs.others)}, of which no model "
        "is told."
        if runs.others
        else ""
    )
    if runs.agreement is not None:
        others += (
            " It was measured twice, and the two correlate by "
            f"{runs.agreement:.2f}: what differs between them nobody can tell."
        )
    return (
        f"{target} of {test.runs} finished runs of {runs.planned}, with "
        f"{test.wirings} wirings that differ; runs of the same wirings are held out "
        f"together.{few}{others} {_words(test.folds, fitting, seed)}"
    )


def _words(folds: Rows, fitting: Fitting, seed: int) -> str:
    count = len({(row["repeat"], row["fold"]) for row in folds})
    sizes = [row["held_out"] for row in folds]
    span = f"{min(sizes)} to {max(sizes)}" if len(set(sizes)) > 1 else str(sizes[0])
    return (
        f"{count} folds, each with {span} held out; networks of width {fitting.hidden} "
        f"and {fitting.layers} layers, {fitting.epochs} epochs, seed {seed}."
    )


def check_report_free(folder: Path, *, overwrite: bool) -> None:
    """Checks that a report could be written, before what it tells of is made.

    Raises:
        FileError: If a file is there and may not be replaced, or there is a file in
            the folder's place.
    """
    if folder.exists() and not folder.is_dir():
        raise FileError(f"a report needs a folder, got the file {folder}")
    for name in FILES if folder.is_dir() else ():
        check_free(folder / name, overwrite=overwrite)


def write_test(
    test: ClassTest | ResultTest, folder: Path, *, title: str, words: str
) -> list[Path]:
    """Writes the report of a test, and returns the paths of its files.

    Args:
        test: The test.
        folder: Where to; files that are there are replaced.
        title: Its title.
        words: Of what it is.
    """
    files = ReportFiles(folder)
    files.table("folds.csv", test.folds)
    files.table("predictions.csv", test.predictions)
    files.table("summary.csv", test.summary)
    of_classes = isinstance(test, ClassTest)
    table = (class_table if of_classes else result_table)(test.summary)
    said = "\n".join(f"- {words}" for words in verdict_words(test.summary))
    parts = [f"# {title}", words, table.rstrip(), said, INTERVALS]
    files.text("report.md", "\n\n".join(parts) + "\n")
    return files.written


INTERVALS = (
    "All models learn from the same folds, and differences are paired by fold. The "
    "intervals allow for folds that learn from much the same items (Nadeau and Bengio "
    "2003)."
)


def _interval(row: Mapping[str, Any], key: str) -> str:
    if key not in row:
        return "–"
    return f"{row[key]:+.3g} ({row['low']:+.3g} to {row['high']:+.3g})"
