"""Time and memory of making a network and of one forward, beside its library's own.

Times are medians over paired rounds in one process: in each round every variant is
made, or run, once, in turn. The figure is the median of the rounds' ratios to the
library's own network, with the middle half of them. Memory is the peak of a fresh
process that makes the network and runs it once, less what the process held before.

    python benchmarks/models.py --out models-benchmark.json
"""

import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from ddw_graph.benchmarking.memory import peak_memory
from ddw_graph.benchmarking.spread import ratio

NETWORKS = (
    "resnet18",
    "resnet50",
    "resnet101",
    "resnext50_32x4d",
    "regnet_x_1_6gf",
    "mobilenet_v2",
    "efficientnet_b0",
)
VARIANTS = ("library", "fixed", "learned", "dynamic", "rewired")
"""The library's own network; ours with each kind of edges; the library's, rewired to
dynamic edges with whole blocks as nodes."""


def make(network: str, variant: str) -> Any:
    """Returns a network in evaluation mode."""
    from torchvision.models import get_model

    from ddw_graph import create_model, rewire

    if variant == "library":
        return get_model(network).eval()
    if variant == "rewired":
        return rewire(get_model(network)).eval()
    return create_model(network, edges=variant).eval()


def measure_times(network: str, batch: int, size: int, rounds: int) -> dict[str, Any]:
    """Returns the seconds of making each variant, and of one forward."""
    import torch

    from ddw_graph.training.timing import paired_times

    torch.manual_seed(0)
    images = torch.randn(batch, 3, size, size)
    made = paired_times({v: partial(make, network, v) for v in VARIANTS}, rounds=rounds)
    models = {variant: make(network, variant) for variant in VARIANTS}
    with torch.inference_mode():
        ran = paired_times(
            {v: partial(m, images) for v, m in models.items()}, rounds=rounds
        )
    return {"make": made, "forward": ran, "threads": torch.get_num_threads()}


def measure_memory(network: str, variant: str, batch: int, size: int) -> int:
    """Returns how far making a network, and then a forward, raise a process's peak."""
    import torch
    import torchvision.models  # noqa: F401

    import ddw_graph.models  # noqa: F401

    # Libraries are imported, and torch has made what it keeps.
    images = torch.randn(batch, 3, size, size)
    torch.nn.Conv2d(3, 8, 3)(images)
    before = peak_memory()
    model = make(network, variant)
    with torch.inference_mode():
        model(images)
    return peak_memory() - before


def in_fresh_process(call: str, *arguments: object) -> Any:
    """Returns what one of the functions above returns in a process of its own."""
    run = subprocess.run(
        [sys.executable, __file__, "--worker", json.dumps([call, *arguments])],
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(run.stdout)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the figures as a Markdown table."""
    lines = [
        "| network | variant | make, ms | make, ratio | forward, ms | forward, ratio "
        "| peak memory, MB | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        cells = [row["network"], row["variant"]]
        for what in ("make", "forward"):
            ratio = row[f"{what}_ratio"]
            cells.append(f"{1e3 * row[f'{what}_seconds']:.0f}")
            cells.append(
                f"{ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f})"
            )
        cells += [f"{row['memory'] / 1e6:.0f}", f"{row['memory_ratio']:.2f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@click.command()
@click.option("--network", "networks", multiple=True, default=NETWORKS)
@click.option("--batch", default=8, show_default=True, help="Images of the forward.")
@click.option("--size", default=128, show_default=True, help="Pixels.")
@click.option("--rounds", default=9, show_default=True, help="Of paired times.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON of all figures.")
@click.option("--worker", hidden=True)
def main(
    networks: tuple[str, ...],
    batch: int,
    size: int,
    rounds: int,
    out: Path | None,
    worker: str | None,
) -> None:
    """Measure networks beside their library's own, and print a table."""
    if worker is not None:
        call, *arguments = json.loads(worker)
        measures: dict[str, Callable[..., Any]] = {
            "times": measure_times,
            "memory": measure_memory,
        }
        click.echo(json.dumps(measures[call](*arguments)))
        return
    rows = []
    threads = 0
    for network in networks:
        times = in_fresh_process("times", network, batch, size, rounds)
        threads = times["threads"]
        first = 0
        for variant in VARIANTS:
            memory = in_fresh_process("memory", network, variant, batch, size)
            first = first or memory
            row: dict[str, Any] = {"network": network, "variant": variant}
            for what in ("make", "forward"):
                own, library = times[what][variant], times[what]["library"]
                row[f"{what}_seconds"] = statistics.median(own)
                row[f"{what}_ratio"] = asdict(ratio(own, library))
            rows.append(row | {"memory": memory, "memory_ratio": memory / first})
        click.echo(f"{network}: done", err=True)
    click.echo(table(rows))
    if out is not None:
        report = {
            "python": platform.python_version(),
            "processors": os.cpu_count(),
            "threads": threads,
            "batch": batch,
            "image_size": size,
            "rounds": rounds,
            "rows": rows,
        }
        out.write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
