"""What benchmarks found, as Markdown tables."""

from collections.abc import Mapping, Sequence
from typing import Any

from ddw_graph.analysis.markdown import markdown_table, number
from ddw_graph.models.paper import paper_figures

COLUMNS = ("case", "what", "took", "relative to", "which took", "ratio")
LATENCY = (
    "model",
    "engine",
    "batch",
    "px",
    "top-1, %",
    "latency, ms an image",
    "ratio to the first",
    "edges open",
    "MACs asked for",
)
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
    if report.get("latencies"):
        parts.append(_latencies(report["latencies"]))
    environment = [f"{key} {value}" for key, value in report["environment"].items()]
    parts.append(", ".join(environment).replace("_", " "))
    return "\n\n".join(parts)


def latency_label(row: Mapping[str, Any]) -> str:
    """Returns a timed network in words: its name, its edges, its thresholds."""
    thresholds = row["thresholds"]
    suffix = "" if thresholds is None else f", thresholds {thresholds}"
    return f"{row['model']}, {row['edges']}{suffix}"


def _latencies(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns latencies in the form of Table 3, with the paper's rows under ours."""
    cells: list[tuple[str, ...]] = [
        (
            latency_label(row),
            row["engine"],
            str(row["batch"]),
            str(row["size"]),
            number(row["top1"], ".2f"),
            _milliseconds(row["seconds"]),
            _ratio(row["ratio"]),
            f"{row['open_edges']:.0%}",
            f"{row['macs'] / 1e6:,.1f}M",
        )
        for row in sorted(rows, key=lambda row: row["batch"])
    ]
    paper = paper_figures("table3")
    for name in dict.fromkeys(name for name, _ in paper):
        top1, latency = (paper[name, column] for column in ("top1", "latency"))
        figures = f"{top1:.1f}", f"{latency:.3f}", *["–"] * 3
        cells.append((f"{name} (paper)", "–", "–", "224", *figures))
    return (
        f"### latency\n\n{_table(LATENCY, cells)}\n\nMedian and middle half. The "
        "paper's rows are reference values: of hardware and a batch that it does not "
        "name, so they compare with each other and not with ours."
    )


def _milliseconds(seconds: Mapping[str, float]) -> str:
    median, low, high = (1e3 * seconds[key] for key in ("median", "low", "high"))
    return f"{median:.3f} ({low:.3f} to {high:.3f})"


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
