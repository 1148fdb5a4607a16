"""The command that trains one network."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import (
    THREADS,
    chosen_execution,
    execution_options,
    training_place,
    world_options,
)
from ddw_graph.cli.options import JSON_OPTION
from ddw_graph.cli.training_options import (
    CHECKPOINT_STEPS_OPTION,
    DEFAULT_DATA,
    DEVICE_OPTION,
    HEAD_OPTION,
    STAGE_N_OPTION,
    WORKERS_OPTION,
    chosen_recipe,
    data_options,
    data_source,
    recipe_options,
)

if TYPE_CHECKING:
    from ddw_graph.nn.network import Network
    from ddw_graph.training.data import ImageData
    from ddw_graph.training.loop import Listener
    from ddw_graph.training.recipe import Recipe


@click.command()
@click.option(
    "--model", help="Network; see the command models.  [default: randwire_tiny]"
)
@click.option(
    "--from",
    "start",
    type=click.Path(path_type=Path),
    help="Start from the weights of a run's folder or of a saved network; with "
    "--edges, --wiring or --node it is rewired, and computes at first what it did.",
)
@click.option(
    "--wiring",
    help="Such as ws:k=4,p=0.75, complete or file:PATH.  "
    "[default: complete; for fixed and learned edges ws:k=4,p=0.75, and in a backbone "
    "its own for fixed ones]",
)
@click.option(
    "--edges",
    help="fixed, learned, dynamic, attention, receiver, or a kind of your own, with "
    "settings: dynamic:gate=hard,bias=0.  "
    "[default: dynamic; with --budget dynamic:gate=hard,bias=1.5,threshold=0.5]",
)
@click.option("--node", help="Of a backbone: branch or block.")
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
@click.option(
    "--tensorboard", is_flag=True, help="Write events for it too, to OUT/tensorboard."
)
@click.option(
    "--log-steps",
    type=click.IntRange(min=1),
    help="Steps between two losses for TensorBoard.  [default: 50]",
)
@execution_options
@world_options
@DEVICE_OPTION
@WORKERS_OPTION
@click.option("--threads", type=THREADS, help="Threads that compute.")
@JSON_OPTION
def train(
    model: str | None,
    start: Path | None,
    recipe: str,
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
    ddw-graph train --from runs/resnet18 --edges dynamic --recipe fine_tune --out rw
    ddw-graph train --budget 0.5 --router-lr 3 --out runs/half
    torchrun --nproc-per-node 8 --no-python ddw-graph train --out runs/eight
    """
    from ddw_graph.training.train import train as train_network

    if log_steps is not None and not tensorboard:
        raise click.UsageError("--log-steps needs --tensorboard")
    chosen = chosen_recipe(recipe, options)
    execution = chosen_execution(options)
    source = data_source(options)
    with training_place(
        device, threads=threads, processes=processes, timeout=timeout
    ) as (world, place):
        # One process of a machine, or they would write over each other; and one before
        # all, where machines see the same folder.
        for loads in (world.leads, not (world.leads or world.local_rank)):
            with world.together(place):
                if source.download and loads:
                    source.load()
        with world.together(place):
            data = replace(source, download=False).load()
            network = _network(model, start, data, chosen, seed, options)
        board = out / "tensorboard" if tensorboard else None
        with _listener(board, log_steps) if world.leads else nullcontext() as heard:
            result = train_network(
                network.config or {},
                data,
                chosen,
                seed=seed,
                folder=out,
                resume=resume,
                device=place,
                workers=workers,
                listener=heard,
                start=None if start is None else network,
                execution=execution,
                world=world,
                checkpoint_steps=checkpoint_steps,
            )
    if not world.leads:
        return
    if as_json:
        click.echo(json.dumps(result))
    else:
        expected = result.get("expected_macs", result["total_macs"])
        click.echo(
            f"{out}: test accuracy {100 * result['test_accuracy']:.2f} % after "
            f"{result['epochs']} epochs, {result['parameters']:,} parameters, "
            f"{result['macs'] / 1e6:.2f}M MACs, "
            f"{expected / result['total_macs']:.0%} expected of all that is counted"
        )


@contextmanager
def _listener(board: Path | None, log_steps: int | None) -> Iterator["Listener"]:
    """Shows the training as it goes, and tells it to TensorBoard where asked to."""
    from ddw_graph.cli.progress import TrainingProgress
    from ddw_graph.training.listeners import Listeners
    from ddw_graph.training.tensorboard import LOG_STEPS, TensorBoard

    with ExitStack() as stack:
        heard: list[Listener] = []
        if board is not None:
            told = TensorBoard(board, every=log_steps or LOG_STEPS)
            heard.append(stack.enter_context(told))
        heard.append(stack.enter_context(TrainingProgress()))
        yield Listeners(heard)


def _network(
    model: str | None,
    start: Path | None,
    data: "ImageData",
    recipe: "Recipe",
    seed: int,
    options: dict[str, Any],
) -> "Network":
    """Returns the network to train: a new one, or what there is to start from."""
    import torch

    from ddw_graph.training.train import DEFAULT_MODEL, new_network

    options = {key: value for key, value in options.items() if value is not None}
    if start is not None:
        torch.manual_seed(seed)  # for projections that rewiring adds: resumed, the same
        return _started(start, {"model": model, **options}, seed)
    return new_network(data, recipe, model=model or DEFAULT_MODEL, seed=seed, **options)


def _started(path: Path, options: dict[str, Any], seed: int) -> "Network":
    """Returns the network to start from, rewired where that is asked for."""
    from ddw_graph.models import rewire
    from ddw_graph.training.train import kept_model

    rewiring = {"wiring", "edges", "node", "drop_path"}
    for key, value in options.items():
        if key not in rewiring and value is not None:
            flag = f"--{key.replace('_', '-')}"
            raise click.UsageError(f"{flag} cannot be had with --from")
    network = kept_model(path)
    settings = {key: options[key] for key in rewiring & set(options)}
    return rewire(network, seed=seed, **settings) if settings else network
