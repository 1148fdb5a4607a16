"""The command that trains a detector."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.detection_options import (
    PATH,
    bad_boxes_option,
    chosen_detection_recipe,
    recipe_options,
    setting_options,
    settings_changes,
)
from ddw_graph.cli.execution_options import (
    THREADS,
    chosen_execution,
    detector_execution_options,
    training_place,
    world_options,
)
from ddw_graph.cli.options import JSON_OPTION
from ddw_graph.cli.tables import figure_table
from ddw_graph.cli.training_options import DEVICE_OPTION, WORKERS_OPTION

if TYPE_CHECKING:
    from ddw_graph.nn.network import Network

UNKNOWN = (
    "{} lies in no run that says mean and std of its images: those of photographs are "
    "taken"
)

UNREACHED = "the learning rate did not fall at milestones {}: there were {} epochs"


@click.command()
@click.option(
    "--root",
    type=PATH,
    required=True,
    help="Folder with train, val and annotations/instances_train.json and so on; "
    "COCO's own names (train2017) do too.",
)
@bad_boxes_option
@click.option(
    "--from",
    "start",
    type=PATH,
    help="Start from the backbone of a trained classifier: a run's folder or a file. "
    "Its normalisation is then frozen, and its stem and first stage.",
)
@click.option("--model", help="Network, if not --from.  [default: resnet18]")
@click.option("--wiring", help="Such as ws:k=4,p=0.75, complete or file:PATH.")
@click.option("--edges", help="Kind of edge weights.  [default: dynamic]")
@click.option("--node", help="Of a backbone: branch or block.")
@setting_options
@recipe_options
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes the run.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    help="Folder of the run: new, empty, or with --resume that of the same run.",
)
@click.option("--resume", is_flag=True, help="Go on with the run in the folder.")
@detector_execution_options
@world_options
@DEVICE_OPTION
@WORKERS_OPTION
@click.option("--threads", type=THREADS, help="Threads that compute.")
@JSON_OPTION
def train(
    root: Path,
    bad_boxes: str,
    start: Path | None,
    model: str | None,
    wiring: str | None,
    edges: str | None,
    node: str | None,
    settings: str,
    recipe: str,
    seed: int,
    out: Path,
    resume: bool,
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
    from contextlib import nullcontext

    from ddw_graph.cli.detection_progress import DetectionProgress
    from ddw_graph.detection.coco import coco_split
    from ddw_graph.detection.train import chosen_settings, train_detector

    chosen = chosen_detection_recipe(recipe, options)
    changes = settings_changes(options)
    execution = chosen_execution(options)
    with training_place(
        device, threads=threads, processes=processes, timeout=timeout
    ) as (world, place):
        with world.together(place):
            images = coco_split(root, "train", bad_boxes=bad_boxes)
            tested = coco_split(root, "val", bad_boxes=bad_boxes)
            given = {"model": model, "wiring": wiring, "edges": edges, "node": node}
            network, images_of = _network(start, seed, given)
            started = start is not None
            if world.leads and started and not images_of:
                click.echo(UNKNOWN.format(start), err=True)
            wanted = chosen_settings(
                network, settings, started=started, **images_of, **changes
            )
        with DetectionProgress() if world.leads else nullcontext() as heard:
            result = train_detector(
                network,
                wanted,
                images,
                tested,
                chosen,
                seed=seed,
                folder=out,
                started=started,
                resume=resume,
                device=place,
                workers=workers,
                listener=heard,
                execution=execution,
                world=world,
            )
    if not world.leads:
        return
    if chosen.unreached:
        late = " and ".join(map(str, chosen.unreached))
        click.echo(UNREACHED.format(late, chosen.epochs), err=True)
    if as_json:
        click.echo(json.dumps(result))
    else:
        kind = " of synthetic images" if result["synthetic"] else ""
        click.echo(f"{out}, {result['epochs']} epochs{kind}:")
        click.echo(figure_table(result))


def _network(
    start: Path | None, seed: int, options: dict[str, Any]
) -> "tuple[Network, dict[str, Any]]":
    """Returns the network whose stem and stages are to be the backbone.

    With it come mean and standard deviation of the images that it was trained on, where
    that is known.
    """
    import torch

    from ddw_graph.deployment.trained import trained
    from ddw_graph.models import create_model

    told = {key: value for key, value in options.items() if value is not None}
    if start is not None:
        for key in told:
            raise click.UsageError(f"--{key} cannot be had with --from")
        found = trained(start)
        known = found.preparation
        values = {} if known is None else {"mean": known.mean, "std": known.std}
        return found.network, values
    torch.manual_seed(seed)
    name = told.pop("model", "resnet18")
    network: Network = create_model(name, num_classes=2, seed=seed, **told)
    return network, {}
