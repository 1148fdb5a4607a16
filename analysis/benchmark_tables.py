"""What benchmarks found, as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.analysis.report_files import Column, markdown_table
from ddw_graph.models.paper import paper_figures

UNITS = {"seconds": (1e3, "ms"), "bytes": (1e-6, "MB")}


def latency_label(row: Mapping[str, Any]) -> str:
    """Returns a timed network in words: its name, its edges, its thresholds."""
    thresholds = row["thresholds"]
    suffix = "" if thresholds is None else f", thresholds {thresholds}"
    return f"{row['model']}, {row['edges']}{suffix}"


def _amount(spread: Mapping[str, float], unit: str) -> str:
    factor, name = UNITS[unit]
    value = factor * spread["median"]
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {name}"


def _spread(spread: Mapping[str, float], form: str = ".2f", factor: float = 1) -> str:
    median, low, high = (
        format(factor * spread[key], form) for key in ("median", "low", "high")
    )
    return f"{median} ({low} to {high})"


MEASUREMENTS: dict[str, Column] = {
    "case": "{case}",
    "what": "{what}",
    "took": lambda row: _amount(row["value"], row["unit"]),
    "relative to": "{to}",
    "which took": lambda row: _amount(row["base"], row["unit"]),
    "ratio": lambda row: _spread(row["ratio"]),
}
LATENCIES: dict[str, Column] = {
    "model": latency_label,
    "engine": "{engine}",
    "batch": "{batch}",
    "px": "{size}",
    "top-1, %": "{top1:.2f}",
    "latency, ms an image": lambda row: _spread(row["seconds"], ".3f", 1e3),
    "ratio to the first": lambda row: _spread(row["ratio"]),
    "edges open": "{open_edges:.0%}",
    "MACs asked for": lambda row: f"{row['macs'] / 1e6:,.1f}M",
}


def benchmark_tables(report: Mapping[str, Any]) -> str:
    """Returns a table for each benchmark, and under them what they depend on.

    A ratio is the median of the pairs' ratios, with the middle half of them.

    Args:
        report: From ``ddw_graph.benchmarking.report.report``.
    """
    parts = []
    rows = report["measurements"]
    for name in dict.fromkeys(row["benchmark"] for row in rows):
        of_name = [row for row in rows if row["benchmark"] == name]
        parts += [f"### {name}", markdown_table(MEASUREMENTS, of_name)]
    for curve in report["curves"]:
        keys = ("sizes", "seconds", "ratios")
        columns: dict[str, Column] = {
            curve["axis"]: "{sizes:,}",
            "took": lambda row: _amount(row["seconds"], "seconds"),
            "ratio to the first": lambda row: _spread(row["ratios"]),
        }
        points = zip(*(curve[key] for key in keys), strict=True)
        parts += [
            f"### {curve['benchmark']} with {curve['axis']}: {curve['act']}",
            markdown_table(columns, (dict(zip(keys, p, strict=True)) for p in points)),
            f"Exponent: {_spread(curve['exponent'])}",
        ]
    if report.get("latencies"):
        parts += ["### latency", *_latencies(report["latencies"])]
    environment = [f"{key} {value}" for key, value in report["environment"].items()]
    parts.append(", ".join(environment).replace("_", " "))
    return "\n\n".join(part.rstrip() for part in parts)


def _latencies(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """Returns latencies in the form of Table 3, with the paper's rows under ours."""
    table = markdown_table(LATENCIES, sorted(rows, key=lambda row: row["batch"]))
    paper = paper_figures("table3")
    for name in dict.fromkeys(name for name, _ in paper):
        top1, latency = (paper[name, column] for column in ("top1", "latency"))
        figures = f"{top1:.1f} | {latency:.3f} | – | – | –"
        table += f"| {name} (paper) | – | – | 224 | {figures} |\n"
    return table, (
        "Median and middle half. The paper's rows are reference values: of hardware "
        "and a batch that it does not name, so they compare with each other and not "
        "with ours."
    )
