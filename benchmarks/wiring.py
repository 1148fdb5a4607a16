"""Time and memory of building, checking, describing, saving and loading wirings.

Each size runs in fresh processes, so that memory is the peak of that step and no
earlier one. Exponents are slopes of least-squares lines through the logarithms of time,
or memory, and edges, over the sizes with at least ``--fit-from`` edges: 1 is linear.

    python benchmarks/wiring.py --out wiring-benchmark.json
"""

import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ddw_graph.benchmarking.memory import peak_memory

STEPS = ("build", "check", "describe", "save", "load")
FAMILIES = {"complete": "complete", "ws": "ws:k=4,p=0.75"}


def least_time(act: Callable[[], Any], repeats: int) -> float:
    """Returns the least processor time, in seconds, that ``act`` took."""
    times = []
    for _ in range(repeats):
        begun = time.process_time()
        act()
        times.append(time.process_time() - begun)
    return min(times)


def measure_built(text: str, n: int, path: str, repeats: int) -> dict[str, float]:
    """Returns what every step but loading takes, and leaves the wiring at ``path``."""
    from ddw_graph.generators import from_text
    from ddw_graph.wiring import check, describe, save

    before = peak_memory()
    times, built = [], 0
    dag = None
    for _ in range(repeats):
        dag = None
        begun = time.process_time()
        dag = from_text(text, n=n, seed=0)
        times.append(time.process_time() - begun)
        built = built or peak_memory() - before
    assert dag is not None
    wiring, before = dag, peak_memory()
    save(wiring, path)
    saved = peak_memory() - before

    def save_anew() -> None:
        # A file of the same content would be compared and left alone.
        os.remove(path)
        save(wiring, path)

    return {
        "nodes": len(wiring),
        "edges": wiring.number_of_edges(),
        "bytes": os.path.getsize(path),
        "build_seconds": min(times),
        "check_seconds": least_time(lambda: check(wiring), repeats),
        "describe_seconds": least_time(
            lambda: describe(wiring, distances=False), repeats
        ),
        "save_seconds": least_time(save_anew, repeats),
        "build_memory": built,
        "save_memory": saved,
    }


def measure_loaded(path: str, repeats: int) -> dict[str, float]:
    """Returns what loading takes."""
    from ddw_graph.wiring import load

    before = peak_memory()
    begun = time.process_time()
    load(path)
    first = time.process_time() - begun
    memory = peak_memory() - before
    seconds = min(first, least_time(lambda: load(path), repeats))
    return {"load_memory": memory, "load_seconds": seconds}


def in_fresh_process(call: str, *arguments: object) -> dict[str, float]:
    """Returns what one of the functions above returns in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps([call, *arguments])],
        stdout=subprocess.PIPE,
        check=True,
    )
    figures: dict[str, float] = json.loads(run.stdout)
    return figures


def exponent(rows: list[dict[str, Any]], figure: str, fit_from: int) -> float | None:
    """Returns the slope of log ``figure`` over log edges, None below two sizes."""
    points = [
        (math.log(row["edges"]), math.log(row[figure]))
        for row in rows
        if row["edges"] >= fit_from and row[figure] > 0
    ]
    if len({x for x, _ in points}) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def table(rows: list[dict[str, Any]]) -> str:
    """Returns the figures of one family as a Markdown table."""
    heads = ["nodes", "edges", *(f"{step} (ms)" for step in STEPS)]
    heads += ["file (MB)", "build (MB)", "save (MB)", "load (MB)"]
    lines = [f"| {' | '.join(heads)} |", f"|{' ---: |' * len(heads)}"]
    for row in rows:
        cells = [f"{row['nodes']:,}", f"{row['edges']:,}"]
        cells += [f"{1e3 * row[f'{step}_seconds']:.3g}" for step in STEPS]
        memory = ("bytes", "build_memory", "save_memory", "load_memory")
        cells += [f"{row[name] / 1e6:.3g}" for name in memory]
        # 1.23e+04 is no figure for a table.
        lines.append(f"| {' | '.join(_plain(cell) for cell in cells)} |")
    return "\n".join(lines)


def _plain(cell: str) -> str:
    return f"{float(cell):,.0f}" if "e+" in cell else cell


@click.command()
@click.option(
    "--complete-nodes",
    default="10,30,100,300,1000,2000,3000",
    show_default=True,
    help="Nodes of the complete wirings, input and output counted.",
)
@click.option(
    "--ws-nodes",
    default="10,30,100,300,1000,2000,5000,10000",
    show_default=True,
    help="Nodes of the WS(4, 0.75) wirings.",
)
@click.option("--repeats", default=3, show_default=True, help="The least time counts.")
@click.option("--fit-from", default=4000, show_default=True, help="Edges of a fit.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON of all figures.")
@click.option("--worker", hidden=True)
def main(
    complete_nodes: str,
    ws_nodes: str,
    repeats: int,
    fit_from: int,
    out: Path | None,
    worker: str | None,
) -> None:
    """Measure wirings of growing size, print tables, and fit exponents."""
    if worker is not None:
        call, *arguments = json.loads(worker)
        measures: dict[str, Callable[..., dict[str, float]]] = {
            "built": measure_built,
            "loaded": measure_loaded,
        }
        click.echo(json.dumps(measures[call](*arguments)))
        return
    sizes = {"complete": complete_nodes, "ws": ws_nodes}
    report: dict[str, Any] = {
        "python": platform.python_version(),
        "networkx": _networkx_version(),
        "processors": os.cpu_count(),
        "repeats": repeats,
        "fit_from": fit_from,
        "families": {},
    }
    for family, text in FAMILIES.items():
        rows = []
        for nodes in map(int, sizes[family].split(",")):
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/wiring.json"
                figures = in_fresh_process("built", text, nodes - 2, path, repeats)
                rows.append(figures | in_fresh_process("loaded", path, repeats))
            click.echo(f"{family}, {nodes} nodes: done", err=True)
        names = [f"{step}_seconds" for step in STEPS]
        names += ["build_memory", "load_memory", "bytes"]
        fits = {name: exponent(rows, name, fit_from) for name in names}
        report["families"][family] = {"text": text, "rows": rows, "exponents": fits}
        click.echo(f"\n### {text}\n\n{table(rows)}\n")
        click.echo("| exponent of | slope |\n| --- | ---: |")
        for name, slope in fits.items():
            shown = "too few sizes" if slope is None else f"{slope:.2f}"
            click.echo(f"| {name.replace('_', ' ')} | {shown} |")
    if out is not None:
        out.write_text(json.dumps(report, indent=1) + "\n")


def _networkx_version() -> str:
    from importlib.metadata import version

    return version("networkx")


if __name__ == "__main__":
    main()
