"""The command that trains a detector."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.detection_options import (
    PATH,
    bad_boxes_option,
    bad_images_option,
    recipe_options,
)
from ddw_graph.cli.execution_options import (
    chosen_execution,
    report_start,
    training_place,
)
from ddw_graph.cli.setting_options import (
    SettingsCommand,
    pop_settings,
    section,
    setting_option,
)
from ddw_graph.cli.tables import figure_table
from ddw_graph.cli.training_options import run_options
from ddw_graph.detection.recipe import DetectionRecipe, detection_recipe
from ddw_graph.detection.settings import DetectorSettings, settings_named
from ddw_graph.errors import counted
from ddw_graph.printable import printable
from ddw_graph.training.network_settings import NETWORK_SETTINGS

if TYPE_CHECKING:
    from ddw_graph.detection.coco import BadBoxes
    from ddw_graph.nn.network import Network

UNKNOWN = (
    "{} is no run's folder with the mean and std of its images: those of photographs "
    "are used"
)
UNREACHED = "the learning rate did not fall at milestones {}: there were {}"


@click.command(cls=SettingsCommand)
@section(
    "Network",
    click.option(
        "--from",
        "start",
        type=PATH,
        help="Start from the backbone of a trained classifier: a run's folder or a "
        "file. Its normalisation, stem and first stage are then frozen. --wiring, "
        "--edges or --set node=... rewire it.",
    ),
    setting_option(NETWORK_SETTINGS["model"], shown="resnet18, without --from"),
    setting_option(NETWORK_SETTINGS["wiring"]),
    setting_option(NETWORK_SETTINGS["edges"], shown="dynamic"),
)
@section(
    "Data",
    click.option(
        "--root",
        type=PATH,
        required=True,
        help="Folder with train, val and annotations/instances_train.json and so on, "
        "or with COCO's own names (train2017).",
    ),
    bad_boxes_option,
    bad_images_option,
)
@recipe_options
@run_options
def train(
    root: Path,
    bad_boxes: "BadBoxes",
    bad_images: str,
    start: Path | None,
    model: str | None,
    wiring: str | None,
    edges: str | None,
    settings: str,
    recipe: str,
    seed: int,
    out: Path,
    resume: bool,
    checkpoint_steps: int | None,
    tensorboard: bool,
    processes: int | None,
    timeout: float,
    device: str,
    workers: int,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train a detector: Faster R-CNN with a feature pyramid on a wired backbone.

    \b
    ddw-graph detect train --root data --from runs/classifier --out runs/detector
    ddw-graph detect train --root coco --from resnet50.safetensors --recipe 1x \\
        --settings coco --bad-boxes skip --out runs/coco
    """
    chosen = detection_recipe(recipe, **pop_settings(DetectionRecipe, options))
    changes = pop_settings(DetectorSettings, options)
    execution = chosen_execution(options)
    given = {"model": model, "wiring": wiring, "edges": edges, **options}

    import torch

    from ddw_graph.cli.progress import shown_progress
    from ddw_graph.detection.coco import coco_split
    from ddw_graph.detection.detector import Detector
    from ddw_graph.detection.task import train_detector

    with training_place(
        device, threads=threads, processes=processes, timeout=timeout
    ) as (world, place):
        with world.together(place):
            images = coco_split(root, "train", bad_boxes=bad_boxes)
            val = coco_split(root, "val", bad_boxes=bad_boxes)
            if bad_images == "skip":
                images = images.readable(workers=workers, world=world)
                val = val.readable(workers=workers, world=world)
            network, normalisation = _network(start, seed, given)
            if world.leads and start is not None and not normalisation:
                click.echo(UNKNOWN.format(start), err=True)
            wanted = settings_named(
                settings, trained=start is not None, **{**normalisation, **changes}
            )
            torch.manual_seed(seed)
            detector = Detector(network, images.categories, wanted)
            if world.leads:
                report_start(out, resume=resume)
        board = out / "tensorboard" if tensorboard else None
        with shown_progress(board, shows=world.leads) as listeners:
            run = train_detector(
                detector,
                images,
                val,
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
    if chosen.unreached:
        late = " and ".join(map(str, chosen.unreached))
        click.echo(UNREACHED.format(late, counted(chosen.epochs, "epoch")), err=True)
    result = run.result or {}
    if as_json:
        click.echo(json.dumps(result))
    else:
        kind = " of synthetic images" if result["synthetic"] else ""
        epochs = counted(result["epochs"], "epoch")
        click.echo(printable(f"{out}, {epochs}{kind}:"))
        click.echo(figure_table(result))


def _network(
    start: Path | None, seed: int, options: dict[str, Any]
) -> "tuple[Network, dict[str, Any]]":
    """Returns the network whose stem and stages are to be the backbone.

    With it come mean and standard deviation of the images that it was trained on, if
    they are known.
    """
    import torch

    from ddw_graph.models import create_model
    from ddw_graph.training.launch import started_network
    from ddw_graph.training.run import Run

    given = {key: value for key, value in options.items() if value is not None}
    if start is None:
        torch.manual_seed(seed)
        name = given.pop("model", "resnet18")
        return create_model(name, num_classes=2, seed=seed, **given), {}
    network = started_network(start, seed=seed, **given)
    transform = Run(start).transform if start.is_dir() else None
    values = {} if transform is None else {"mean": transform.mean, "std": transform.std}
    return network, values
