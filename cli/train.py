"""The command that trains one network."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.options import JSON_OPTION
from ddw_graph.cli.training_options import (
    DEFAULT_DATA,
    DEVICE_OPTION,
    WORKERS_OPTION,
    chosen_recipe,
    data_options,
    data_source,
    recipe_options,
)


@click.command()
@click.option("--model", default="randwire_tiny", show_default=True, help="Network.")
@click.option(
    "--wiring",
    help="Such as ws:k=4,p=0.75, complete or file:PATH.  "
    "[default: complete for dynamic edges, ws:k=4,p=0.75 for others]",
)
@click.option(
    "--edges",
    default="dynamic",
    show_default=True,
    help="fixed, learned or dynamic, with settings: dynamic:gate=hard,bias=0.",
)
@click.option("--n", type=int, help="Computing nodes of a stage.")
@click.option("--channels", type=float, help="C, from which every width follows.")
@click.option("--operation", default="sepconv", show_default=True, help="Or basic.")
@click.option("--transition", help="sources or input.")
@click.option("--output", help="sum or mean.")
@click.option("--drop-path", type=float, help="Probability that a node loses an input.")
@click.option("--dropout", type=float, help="Probability before the classifier.")
@data_options(default=DEFAULT_DATA)
@recipe_options
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes the run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run: new, empty, or with --resume that of the same run.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@DEVICE_OPTION
@WORKERS_OPTION
@click.option("--threads", type=click.IntRange(min=1), help="Threads that compute.")
@JSON_OPTION
def train(
    model: str,
    recipe: str,
    seed: int,
    out: Path,
    resume: bool,
    device: str,
    workers: int,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network and keep configuration, log, checkpoint and result.

    \b
    ddw-graph train --out runs/ddw
    ddw-graph train --wiring ws:k=4,p=0.75 --edges learned --out runs/ws
    """
    import torch

    from ddw_graph.cli.progress import TrainingProgress
    from ddw_graph.models import create_model
    from ddw_graph.training.train import train as train_network
    from ddw_graph.training.train import usable_device

    chosen = chosen_recipe(recipe, options)
    source = data_source(options)
    if threads is not None:
        torch.set_num_threads(threads)
    data = source.load()
    place = usable_device(device)
    network = create_model(
        model,
        num_classes=len(data.classes),
        in_channels=data.channels,
        seed=seed,
        **options,
    )
    assert network.config is not None
    with TrainingProgress() as progress:
        result = train_network(
            network.config,
            data,
            chosen,
            seed=seed,
            folder=out,
            resume=resume,
            device=place,
            workers=workers,
            listener=progress,
        )
    if as_json:
        click.echo(json.dumps(result))
    else:
        click.echo(
            f"{out}: test accuracy {100 * result['test_accuracy']:.2f} % after "
            f"{result['epochs']} epochs, {result['parameters']:,} parameters, "
            f"{result['macs'] / 1e6:.2f}M MACs"
        )
