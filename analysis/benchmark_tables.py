"""What benchmarks found, as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

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
        header = ("case", "what", "took", "relative to", "which took", "ratio")
        of_name = [row for row in rows if row["benchmark"] == name]
        parts.append(f"### {name}\n\n{_table(header, [_cells(r) for r in of_name])}")
    for curve in report["curves"]:
        header = (curve["axis"], "took", "ratio to the first")
        taken = [_amount(each, "seconds") for each in curve["seconds"]]
        ratios = [_ratio(each) for each in curve["ratios"]]
        sizes = [f"{size:,}" for size in curve["sizes"]]
        table = _table(header, list(zip(sizes, taken, ratios, strict=True)))
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
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
