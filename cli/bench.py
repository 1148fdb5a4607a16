"""The command that measures time and memory."""

import json
from pathlib import Path

import click

from ddw_graph.cli.execution_options import THREADS
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, WIRING
from ddw_graph.cli.training_options import DEVICE_OPTION

BENCHMARKS = ("networks", "aggregation", "skipping", "randwire", "growth", "latency")


@click.command()
@click.argument(
    "names", metavar="[BENCHMARK]...", nargs=-1, type=click.Choice(BENCHMARKS)
)
@click.option(
    "--network",
    "networks",
    multiple=True,
    help="Of networks and latency; may be given often. Of latency also a saved network "
    "or a run's folder.  [default: resnet50, mobilenet_v2; of latency mobilenet_v2]",
)
@click.option(
    "--batch",
    type=click.IntRange(min=1),
    help="Images, of networks, randwire and latency, which takes one alone too.  "
    "[default: 8]",
)
@click.option(
    "--size",
    type=click.IntRange(min=1),
    help="Pixels, likewise.  [default: 128, for randwire 224, for latency the "
    "network's own]",
)
@click.option(
    "--edges",
    multiple=True,
    help="Of latency's new networks; may be given often.  [default: fixed, and dynamic "
    "of which about half are closed]",
)
@click.option("--wiring", type=WIRING, help="Likewise.  [default: each network's own]")
@click.option(
    "--engine",
    "engines",
    multiple=True,
    type=click.Choice(["pytorch", "onnxruntime"]),
    help="Of latency; may be given often.  [default: both, where installed]",
)
@click.option(
    "--images",
    multiple=True,
    type=click.Path(),
    help="Of latency: files and folders of images.  [default: noise]",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Paired times of each act.",
)
@click.option(
    "--threads",
    type=THREADS,
    help="Threads that compute.  [default: all]",
)
@DEVICE_OPTION
@click.option(
    "--keep-memory/--give-memory-back",
    default=True,
    help="Whether the process keeps what it frees, as the commands that train do.",
)
@click.option(
    "--quick", is_flag=True, help="Small sizes that show that all of it runs."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="JSON file of all figures."
)
@click.option(
    "--picture", type=click.Path(path_type=Path), help="A .svg, .png or .pdf file."
)
@OVERWRITE_OPTION
@JSON_OPTION
def bench(
    names: tuple[str, ...],
    networks: tuple[str, ...],
    batch: int | None,
    size: int | None,
    edges: tuple[str, ...],
    wiring: str | None,
    engines: tuple[str, ...],
    images: tuple[str, ...],
    rounds: int,
    threads: int | None,
    device: str,
    keep_memory: bool,
    quick: bool,
    out: Path | None,
    picture: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure time and memory, each relative to something known.

    BENCHMARK is networks (dynamic edges beside torchvision's original), aggregation (a
    node's sum beside a copy of its inputs), skipping (half of the nodes closed
    beside none), randwire (beside a module for each node), growth (with nodes and
    samples) or latency (one image and a batch, with thresholds and without, in PyTorch
    and onnxruntime, as Table 3); all of them without any. What is compared takes turns,
    and figures are medians of paired ratios.

    \b
    ddw-graph bench --quick
    ddw-graph bench networks --network resnet18 --batch 4 --out networks.json
    ddw-graph bench latency --network runs/ddw --threads 1
    """
    from ddw_graph.analysis.benchmark_figure import benchmark_figure
    from ddw_graph.analysis.benchmark_tables import benchmark_tables
    from ddw_graph.analysis.pictures import check_ending, save_figure
    from ddw_graph.atomic import check_free, write_bytes
    from ddw_graph.benchmarking.measurement import Run
    from ddw_graph.benchmarking.report import chosen, report
    from ddw_graph.cli.progress import tell_written
    from ddw_graph.training.launch import usable_device

    # Now, and not when everything has been measured.
    if picture is not None:
        check_ending(picture.suffix)
    for path in (out, picture):
        if path is not None:
            check_free(path, overwrite=overwrite)
    found = report(
        chosen(
            names,
            networks=networks,
            batch=batch,
            size=size,
            quick=quick,
            edges=edges,
            wiring=wiring,
            engines=engines,
            images=images,
        ),
        Run(
            rounds=rounds,
            memory_rounds=min(rounds, 3),
            threads=threads,
            device=usable_device(device),
            keeps_memory=keep_memory,
            progress=lambda words: click.echo(words, err=True),
        ),
    )
    click.echo(json.dumps(found) if as_json else benchmark_tables(found))
    if out is not None:
        text = json.dumps(found, indent=1) + "\n"
        write_bytes(out, [text.encode()], overwrite=overwrite)
    if picture is not None:
        save_figure(benchmark_figure(found), picture, overwrite=overwrite)
    tell_written([path for path in (out, picture) if path is not None])
