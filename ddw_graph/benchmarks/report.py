"""All benchmarks by name, and the one table of those that ran."""

import json
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from inspect import signature
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from ddw_graph.analysis.pictures import MARKERS, check_ending, plain, rendered, styled
from ddw_graph.analysis.report_files import Column, csv_bytes, markdown_table
from ddw_graph.benchmarks.aggregation import aggregation
from ddw_graph.benchmarks.clock import Clock, Row
from ddw_graph.benchmarks.growth import growth
from ddw_graph.benchmarks.latency import latency
from ddw_graph.benchmarks.networks import networks
from ddw_graph.benchmarks.skipping import skipping
from ddw_graph.deployment.onnx import missing
from ddw_graph.errors import RunError

SUBJECTS: dict[str, Callable[..., list[Row]]] = {
    "networks": networks,
    "aggregation": aggregation,
    "skipping": skipping,
    "growth": growth,
    "latency": latency,
}


def _number(key: str, factor: float = 1) -> Column:
    """Returns the column of a figure with three digits or more."""

    def cell(row: Mapping[str, Any]) -> str:
        if row[key] is None:
            return "–"
        value = factor * row[key]
        return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"

    return cell


COLUMNS: dict[str, tuple[str, Column]] = {
    "case": ("case", "{case}"),
    "variant": ("variant", "{variant}"),
    "px": ("px", "{px:.0f}"),
    "top1": ("top-1, %", "{top1:.2f}"),
    "ms": ("time, ms", _number("ms")),
    "ms_per_image": ("time of an image, ms", "{ms_per_image:.3f}"),
    "ratio": (
        "ratio (quartiles)",
        "{ratio:.2f} ({ratio_low:.2f} to {ratio_high:.2f})",
    ),
    "edges": ("edges", "{edges:,.0f}"),
    "us_per_edge": ("time of an edge, µs", _number("us_per_edge")),
    "open_edges": ("edges open", "{open_edges:.0%}"),
    "macs": ("expected MACs, M", _number("macs", 1e-6)),
    "saved_mb": ("kept for backward, MB", _number("saved_mb")),
    "peak_mb": ("peak on the GPU, MB", _number("peak_mb")),
}
"""The title of each figure and the text of its cells."""


def measured(
    names: Sequence[str], clock: Clock, options: Mapping[str, Any]
) -> pd.DataFrame:
    """Runs benchmarks and returns their rows as one table.

    Its ``attrs["environment"]`` names what the times depend on.

    Args:
        names: Benchmarks; without any, all of them.
        options: Arguments of the benchmarks; each gets those that it takes.

    Raises:
        RunError: If an option is given that none of the benchmarks takes.
        ModelError: If a network cannot be made.

    Example:
        >>> table = measured(["aggregation"], Clock(rounds=1), {"image_size": 1})
        >>> table["variant"].tolist()[:2]
        ['copy of the inputs', 'weighted sum']
    """
    subjects = {name: SUBJECTS[name] for name in SUBJECTS if name in names or not names}
    for option in options:
        takers = [n for n, s in SUBJECTS.items() if option in signature(s).parameters]
        if not subjects.keys() & set(takers):
            flag = option.replace("_", "-")
            raise RunError(
                f"--{flag} is for {', '.join(takers)}, got {', '.join(subjects)}"
            )
    rows = []
    for subject in subjects.values():
        takes = signature(subject).parameters
        rows += subject(clock, **{k: v for k, v in options.items() if k in takes})
    table = pd.DataFrame(rows)
    table.attrs["environment"] = environment(clock)
    return table


def environment(clock: Clock) -> dict[str, Any]:
    """Returns what times depend on: versions, processors, threads, device, rounds."""
    is_cuda = torch.device(clock.device).type == "cuda"
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": version("torchvision"),
        **({} if missing() else {"onnxruntime": version("onnxruntime")}),
        "machine": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if is_cuda else clock.device,
        "rounds": clock.rounds,
    }


def markdown(table: pd.DataFrame) -> str:
    """Returns a table in Markdown for each benchmark, and what the times depend on."""
    parts = []
    for subject, rows in table.groupby("subject", sort=False):
        found = rows.columns[rows.notna().any()]
        columns = dict(COLUMNS[key] for key in COLUMNS if key in found)
        parts += [f"### {subject}", markdown_table(columns, rows).rstrip()]
    environment = table.attrs["environment"]
    parts.append(", ".join(f"{key} {value}" for key, value in environment.items()))
    return "\n\n".join(parts) + "\n"


@styled
def picture(table: pd.DataFrame) -> Figure:
    """Returns all ratios with their quartiles: left of the line at 1 took less."""
    rows = table[table["ratio"].notna()].reset_index(drop=True)
    figure = Figure(figsize=(9, 1.2 + 0.2 * len(rows)), layout="constrained")
    ax = figure.subplots()
    ax.axvline(1, color="black", linewidth=0.8)
    for place, (subject, own) in enumerate(rows.groupby("subject", sort=False)):
        color = f"C{place}"
        ax.hlines(own.index, own["ratio_low"], own["ratio_high"], color=color)
        marker = MARKERS[place]
        ax.plot(own["ratio"], own.index, marker, color=color, label=str(subject))
    labels = [
        plain(f"{case}: {variant}")
        for case, variant in zip(rows["case"], rows["variant"], strict=True)
    ]
    ax.set_yticks(range(len(rows)), labels, fontsize=6)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xscale("log")
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.set(xlabel="ratio to the first of each case: median and quartiles")
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=5, fontsize=7)
    return figure


def json_text(table: pd.DataFrame) -> str:
    """Returns the table as a JSON object of environment and rows."""
    rows = json.loads(table.to_json(orient="records", double_precision=15))
    return json.dumps({"environment": table.attrs["environment"], "rows": rows})


FORMS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".csv": csv_bytes,
    ".md": lambda table: markdown(table).encode(),
    ".json": lambda table: json_text(table).encode(),
}
"""Tables by the ending of their file; other endings are those of pictures."""


def check_form(suffix: str) -> None:
    """Checks that the table can be written in a file of this ending.

    Raises:
        FileError: If it is none of a table's and no picture's.
    """
    if suffix not in FORMS:
        check_ending(suffix)


def content(table: pd.DataFrame, suffix: str) -> bytes:
    """Returns the bytes of a file: a table or a picture, by its ending."""
    form = FORMS.get(suffix)
    return form(table) if form else rendered(picture(table), suffix)
