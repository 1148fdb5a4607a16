"""The command that measures time and memory."""

from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import DEVICE_OPTION, THREADS_OPTION
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH

SUBJECTS = ("networks", "aggregation", "skipping", "growth", "latency")


@click.command()
@click.argument("names", metavar="[SUBJECT]...", nargs=-1, type=click.Choice(SUBJECTS))
@click.option(
    "--model",
    multiple=True,
    help="Network of networks, skipping and latency; repeatable. For latency also a "
    "saved network or a run's folder.  [default: resnet50 and mobilenet_v2; resnet50 "
    "and randwire_small; mobilenet_v2]",
)
@click.option(
    "--edges",
    multiple=True,
    help="Kind of edges of networks, growth and new networks of latency; repeatable.  "
    "[default: fixed, learned and dynamic; dynamic; fixed, and dynamic half closed]",
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Images at a time; skipping and latency time one image too.  [default: 8]",
)
@click.option(
    "--image-size",
    type=click.IntRange(min=1),
    help="Pixels; of aggregation and growth those of the features.  [default: 128; "
    "latency: the network's own; aggregation: 28; growth: 16]",
)
@click.option("--compile", is_flag=True, help="networks: time torch.compile too.")
@click.option("--onnx", is_flag=True, help="latency: time onnxruntime too.")
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=15,
    show_default=True,
    help="Times that each variant runs, in turns.",
)
@THREADS_OPTION
@DEVICE_OPTION
@click.option(
    "--out",
    multiple=True,
    type=PATH,
    help="A .csv, .md or .json file, or a picture: .svg, .png or .pdf; repeatable.",
)
@OVERWRITE_OPTION
@JSON_OPTION
def bench(
    names: tuple[str, ...],
    rounds: int,
    threads: int | None,
    device: str,
    out: tuple[Path, ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure time and memory, each relative to something known.

    SUBJECT is one or more of these, all by default:

    \b
    networks     inference, training and memory by kind of edges, and rewired,
                 relative to torchvision's original
    aggregation  the weighted sum of a node, relative to a copy of its inputs
    skipping     half of the nodes closed, relative to every edge open
    growth       a stage of 4 to 64 nodes, relative to the smallest
    latency      one image and a batch, with and without thresholds (Table 3); of
                 runs their test images

    Variants take turns; a ratio is the median over rounds, with its quartiles.

    \b
    ddw-graph bench networks --model resnet18 --batch-size 4 --out networks.csv
    ddw-graph bench latency --model runs/ddw --threads 1
    """
    import torch

    from ddw_graph.atomic import check_free, write_bytes
    from ddw_graph.benchmarks.clock import Clock
    from ddw_graph.benchmarks.report import (
        check_form,
        content,
        json_text,
        markdown,
        measured,
    )
    from ddw_graph.cli.progress import print_written
    from ddw_graph.training.launch import usable_device
    from ddw_graph.training.memory import keep_memory

    for path in out:  # now, and not when everything has been measured
        check_form(path.suffix)
        check_free(path, overwrite=overwrite)
    place = usable_device(device)
    if threads is not None:
        torch.set_num_threads(threads)
    if place == "cpu":
        keep_memory()
    clock = Clock(rounds, place, lambda text: click.echo(text, err=True))
    given = {key: value for key, value in options.items() if value}
    table = measured(names, clock, given)
    click.echo(json_text(table) if as_json else markdown(table), nl=as_json)
    for path in out:
        write_bytes(path, [content(table, path.suffix)], overwrite=overwrite)
    print_written(out)
