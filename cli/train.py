"""The command that trains one network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import (
    THREADS,
    chosen_execution,
    execution_options,
    training_place,
    world_options,
)
from ddw_graph.cli.options import JSON_OPTION, WIRING
from ddw_graph.cli.training_options import (
    CHECKPOINT_STEPS_OPTION,
    DEFAULT_DATA,
    DEVICE_OPTION,
    HEAD_OPTION,
    MODEL_OPTION,
    STAGE_N_OPTION,
    WORKERS_OPTION,
    chosen_recipe,
    data_options,
    data_source,
    recipe_options,
    shape_options,
    tensorboard_options,
)


@click.command()
@MODEL_OPTION
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    help="Start from the weights of a run's folder or of a saved network; with "
    "--edges, --wiring or --node it is rewired, and computes at first what it did.",
)
@click.option(
    "--wiring",
    type=WIRING,
    help="Such as ws:k=4,p=0.75, complete, MODULE.FUNCTION of your own or file:PATH.  "
    "[default: complete; for fixed and learned edges ws:k=4,p=0.75, and in a backbone "
    "its own for fixed ones]",
)
@click.option(
    "--edges",
    help="fixed, learned, dynamic, attention, receiver, or a kind of your own, with "
    "settings: dynamic:gate=hard,bias=0.  "
    "[default: dynamic; with --budget dynamic:gate=hard,bias=1.5,threshold=0.5]",
)
@click.option("--node", help="Of a backbone or Transformer: branch or block.")
@shape_options
@STAGE_N_OPTION
@click.option("--channels", type=float, help="C, from which every width follows.")
@click.option("--operation", help="sepconv or basic.  [default: sepconv]")
@click.option("--transition", help="sources or input.")
@click.option("--output", help="sum or mean.")
@HEAD_OPTION
@click.option("--drop-path", type=float, help="Probability that a node loses an input.")
@click.option("--dropout", type=float, help="Probability before the classifier.")
@data_options(default=DEFAULT_DATA)
@recipe_options
@click.option(
    "--budget",
    type=float,
    help="Pull the MACs that images ask for toward this share of all; in (0, 1]. "
    "Needs dynamic edges with gate=hard.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes the run.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder of the run: new, empty, or with --resume that of the same run.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@CHECKPOINT_STEPS_OPTION
@tensorboard_options
@execution_options
@world_options
@DEVICE_OPTION
@WORKERS_OPTION
@click.option("--threads", type=THREADS, help="Threads that compute.")
@JSON_OPTION
def train(
    model: str | None,
    start: Path | None,
    recipe: str | None,
    seed: int,
    out: Path,
    resume: bool,
    device: str,
    workers: int,
    threads: int | None,
    checkpoint_steps: int | None,
    tensorboard: bool,
    log_steps: int | None,
    processes: int | None,
    timeout: float,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a network; keep its configuration, log and result.

    \b
    ddw-graph train --out runs/ddw
    ddw-graph train --wiring ws:k=4,p=0.75 --edges learned --out runs/ws
    ddw-graph train --model resnet18 --edges fixed --out runs/resnet18
    ddw-graph train --data text --edges attention --out runs/gpt
    ddw-graph train --from runs/resnet18 --edges dynamic --recipe fine_tune --out rw
    ddw-graph train --budget 0.5 --router-lr 3 --out runs/half
    torchrun --nproc-per-node 8 --no-python ddw-graph train --out runs/eight
    """
    from ddw_graph.cli.progress import shown_progress
    from ddw_graph.training.launch import new_network, started_network
    from ddw_graph.training.launch import train as train_network
    from ddw_graph.training.log import score_text

    chosen = chosen_recipe(recipe, options)
    execution = chosen_execution(options)
    source = data_source(options)
    settings = {key: value for key, value in options.items() if value is not None}
    if model is not None:
        settings["model"] = model
    with training_place(
        device, threads=threads, processes=processes, timeout=timeout
    ) as (world, place):
        # One process of a machine, or they would write over each other; and one before
        # all, where machines see the same folder.
        for downloads in (world.leads, not (world.leads or world.local_rank)):
            with world.together(place):
                if source.download and downloads:
                    source.load()
        with world.together(place):
            source = replace(source, download=False)
            data = source.load(workers=workers, world=world)
            if start is None:
                network = new_network(data, chosen, seed=seed, **settings)
            else:
                network = started_network(start, seed=seed, **settings)
        board = out / "tensorboard" if tensorboard else None
        with shown_progress(board, log_steps, shows=world.leads) as listeners:
            run = train_network(
                network,
                data,
                chosen,
                seed=seed,
                folder=out,
                resume=resume,
                device=place,
                workers=workers,
                listeners=listeners,
                execution=execution,
                world=world,
                checkpoint_steps=checkpoint_steps,
            )
    if not world.leads:
        return
    result = run.result
    assert result is not None
    if as_json:
        click.echo(json.dumps(result))
    else:
        found = score_text(result)
        if "test_perplexity" in result:
            perplexity, bits = result["test_perplexity"], result["test_bits_per_byte"]
            found += f" (perplexity {perplexity:.2f}, {bits:.3f} bits a byte)"
        click.echo(
            f"{out}: {found} after {result['epochs']} epochs, "
            f"{result['parameters']:,} parameters, "
            f"{result['total_macs'] / 1e6:.2f}M total MACs, expected MACs "
            f"{result['expected_macs'] / result['total_macs']:.0%} of the total"
        )
