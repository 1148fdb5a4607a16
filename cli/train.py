"""The command that trains one network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import (
    chosen_execution,
    report_start,
    training_place,
)
from ddw_graph.cli.options import PATH
from ddw_graph.cli.setting_options import SettingsCommand, section, setting_option
from ddw_graph.cli.training_options import (
    MODEL_OPTION,
    RECIPE,
    SIZE_OPTIONS,
    chosen_recipe,
    data_options,
    data_source,
    recipe_options,
    run_options,
)
from ddw_graph.errors import counted
from ddw_graph.printable import printable
from ddw_graph.training.network_settings import NETWORK_SETTINGS


@click.command(cls=SettingsCommand)
@section(
    "Network",
    MODEL_OPTION,
    click.option(
        "--from",
        "start",
        type=PATH,
        help="Start from the weights of a run's folder or of a saved network; --edges, "
        "--wiring or --set node=... rewire it, and keep what it computes at first.",
    ),
    setting_option(
        NETWORK_SETTINGS["wiring"],
        shown="complete; for fixed and learned edges ws:k=4,p=0.75, for fixed ones of "
        "a backbone its own",
    ),
    setting_option(
        NETWORK_SETTINGS["edges"],
        shown="dynamic; with --budget dynamic:gate=hard,bias=1.5,threshold=0.5",
    ),
    *SIZE_OPTIONS,
)
@data_options
@recipe_options(setting_option(RECIPE["budget"]))
@run_options
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
    source = data_source(options)
    chosen = chosen_recipe(recipe, source.task, options)
    execution = chosen_execution(options)

    from ddw_graph.cli.progress import shown_progress
    from ddw_graph.training.data import load_source
    from ddw_graph.training.launch import new_network, started_network
    from ddw_graph.training.launch import train as train_network
    from ddw_graph.training.log import score_text

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
                    load_source(source)
        with world.together(place):
            source = replace(source, download=False)
            data = load_source(source, workers=workers, world=world)
            if start is None:
                network = new_network(data, chosen, seed=seed, **settings)
            else:
                network = started_network(start, seed=seed, **settings)
            if world.leads:
                report_start(out, resume=resume)
        board = out / "tensorboard" if tensorboard else None
        with shown_progress(board, shows=world.leads) as listeners:
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
        line = (
            f"{out}: {found} after {counted(result['epochs'], 'epoch')}, "
            f"{result['parameters']:,} parameters, "
            f"{result['total_macs'] / 1e6:.2f}M total MACs, expected MACs "
            f"{result['expected_macs'] / result['total_macs']:.0%} of the total"
        )
        click.echo(printable(line))
