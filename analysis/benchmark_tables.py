"""What benchmarks found, as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.analysis.markdown import markdown_table

COLUMNS = ("case", "what", "took", "relative to", "which took", "ratio")
UNITS = {"seconds": (1e3, "ms"), "bytes": (1e-6, "MB")}


def benchmark_tables(report: Mapping[str, Any]) -> str:
    """Returns a table for each benchmark, and under them what they depend on.

    A ratio is the median of the pairs' ratios, with the middle half of them.

    Args:
        report: From ``ddw_graph.benchmarking.report.report``.
    """
    parts = []
    rows = report["measurements"]
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        of_name = [_cells(row) for row in rows if row["benchmark"] == name]
        parts.append(f"### {name}\n\n{_table(COLUMNS, of_name)}")
    for curve in report["curves"]:
        points = zip(curve["sizes"], curve["seconds"], curve["ratios"], strict=True)
        table = _table(
            (curve["axis"], "took", "ratio to the first"),
            [(f"{n:,}", _amount(s, "seconds"), _ratio(r)) for n, s, r in points],
        )
        title = f"### {curve['benchmark']} with {curve['axis']}: {curve['act']}"
        parts.append(f"{title}\n\n{table}\n\nExponent: {_ratio(curve['exponent'])}")
    told = [f"{key} {value}" for key, value in report["environment"].items()]
    parts.append(", ".join(told).replace("_", " "))
    return "\n\n".join(parts)


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    value, base = (_amount(row[key], row["unit"]) for key in ("value", "base"))
    return row["case"], row["what"], value, row["to"], base, _ratio(row["ratio"])


def _amount(spread: Mapping[str, float], unit: str) -> str:
    factor, name = UNITS[unit]
    value = factor * spread["median"]
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {name}"


def _ratio(spread: Mapping[str, float]) -> str:
    return f"{spread['median']:.2f} ({spread['low']:.2f} to {spread['high']:.2f})"


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    return markdown_table(header, rows).rstrip()
