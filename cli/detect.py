"""The commands of detection: train, evaluate, predict, and make synthetic data."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.detection_options import (
    bad_boxes_option,
    chosen_detection_recipe,
    recipe_options,
    setting_options,
    settings_changes,
)
from ddw_graph.cli.execution_options import training_place, world_options
from ddw_graph.cli.file_names import as_text, shown
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.training_options import DEVICE_OPTION, WORKERS_OPTION

if TYPE_CHECKING:
    from torch import Tensor

    from ddw_graph.analysis.detection_figure import Drawn, Scene
    from ddw_graph.detection.coco import CocoData
    from ddw_graph.detection.detector import Boxes, Detector
    from ddw_graph.detection.prediction import Prediction
    from ddw_graph.nn.network import Network

SHOWN = 8
"""Images of a picture of an evaluation."""

UNKNOWN = (
    "{} lies in no run that says mean and std of its images: those of photographs are "
    "taken"
)

PATH = click.Path(path_type=Path)


@click.group(invoke_without_command=True)
@click.pass_context
def detect(ctx: click.Context) -> None:
    """Train detectors on wired backbones, and use them.

    \b
    ddw-graph detect synthesize --crops 300 --out data
    ddw-graph train --data folder --root data/crops --image-size 64 \\
        --model resnet18 --out runs/classifier
    ddw-graph detect train --root data --from runs/classifier --out runs/detector
    ddw-graph detect eval runs/detector --root data
    ddw-graph detect predict runs/detector data/val/000000.png --out found
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@detect.command()
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
@click.option("--edges", help="fixed, learned or dynamic.  [default: dynamic]")
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
@world_options
@DEVICE_OPTION
@WORKERS_OPTION
@click.option("--threads", type=click.IntRange(min=1), help="Threads that compute.")
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
                world=world,
            )
    if not world.leads:
        return
    if as_json:
        click.echo(json.dumps(result))
    else:
        kind = " of synthetic images" if result["synthetic"] else ""
        click.echo(f"{out}, {result['epochs']} epochs{kind}:")
        click.echo(_table(result))


@detect.command("eval")
@click.argument("model", metavar="DETECTOR", type=PATH)
@click.option("--root", type=PATH, help="Folder of the data; its part val is taken.")
@click.option("--images", type=PATH, help="Folder of images, if not --root.")
@click.option("--annotations", type=PATH, help="Their JSON file.")
@bad_boxes_option
@click.option("--out", type=PATH, help="JSON file of the figures.")
@click.option(
    "--detections", type=PATH, help="JSON file of all detections, in COCO's form."
)
@click.option(
    "--picture",
    type=PATH,
    help=f"Picture of the first {SHOWN} images, with the boxes found and those there.",
)
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least score of a box in the picture; the figures count all.",
)
@OVERWRITE_OPTION
@DEVICE_OPTION
@WORKERS_OPTION
@JSON_OPTION
def evaluate(
    model: Path,
    root: Path | None,
    images: Path | None,
    annotations: Path | None,
    bad_boxes: str,
    out: Path | None,
    detections: Path | None,
    picture: Path | None,
    score: float,
    overwrite: bool,
    device: str,
    workers: int,
    as_json: bool,
) -> None:
    """Print COCO's twelve figures of a DETECTOR: a run's folder or a file.

    \b
    ddw-graph detect eval runs/detector --root data --picture found.png
    ddw-graph detect eval detector.safetensors --images val2017 \\
        --annotations instances_val2017.json
    """
    from ddw_graph.atomic import check_free, write_bytes
    from ddw_graph.detection.coco import coco_data, coco_split
    from ddw_graph.detection.evaluation import boxes_found
    from ddw_graph.detection.figures import check_installed, coco_figures, coco_results
    from ddw_graph.detection.train import kept_detector
    from ddw_graph.training.train import usable_device

    for path in filter(None, (out, detections, picture)):
        check_free(path, overwrite=overwrite)
    if picture is not None:
        from ddw_graph.analysis.pictures import check_ending

        check_ending(picture.suffix)
    check_installed()
    if root is not None and images is None and annotations is None:
        data = coco_split(root, "val", bad_boxes=bad_boxes)
    elif root is None and images is not None and annotations is not None:
        data = coco_data(images, annotations, bad_boxes=bad_boxes)
    else:
        raise click.UsageError("--root is needed, or --images with --annotations")
    detector = kept_detector(model, device=usable_device(device))
    data.check_categories(detector.categories, model)
    found = boxes_found(detector, data, workers=workers)
    report: dict[str, Any] = {
        **coco_figures(data, found),
        "images": len(data.images),
        "synthetic": data.synthetic,
    }
    if out is not None:
        text = json.dumps(report, indent=1) + "\n"
        write_bytes(out, [text.encode()], overwrite=overwrite)
    if detections is not None:
        text = json.dumps(coco_results(data, found)) + "\n"
        write_bytes(detections, [text.encode()], overwrite=overwrite)
    if picture is not None:
        _draw_evaluation(picture, detector, data, found, score, overwrite)
    if as_json:
        click.echo(json.dumps(report))
    else:
        kind = "synthetic images" if data.synthetic else "images"
        click.echo(f"{model}, {len(data.images)} {kind}:")
        click.echo(_table(report))


@detect.command()
@click.argument("model", metavar="DETECTOR", type=PATH)
@click.argument(
    "paths", metavar="FILE_OR_FOLDER...", type=PATH, nargs=-1, required=True
)
@click.option(
    "--score",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Least score of a detection.",
)
@click.option(
    "--adjacency",
    is_flag=True,
    help="With --json or --out: each image's edge weights too, by stage.",
)
@click.option(
    "--out",
    type=PATH,
    help="Folder of detections.json and of a picture with boxes for each image.",
)
@OVERWRITE_OPTION
@DEVICE_OPTION
@JSON_OPTION
@click.pass_context
def predict(
    ctx: click.Context,
    model: Path,
    paths: tuple[Path, ...],
    score: float,
    adjacency: bool,
    out: Path | None,
    overwrite: bool,
    device: str,
    as_json: bool,
) -> None:
    """Find objects in images with a DETECTOR: a run's folder or a file.

    Images that cannot be read are named on stderr and left out, and the exit code is
    then 1.

    \b
    ddw-graph detect predict runs/detector photo.jpg --adjacency --json
    ddw-graph detect predict runs/detector photographs/ --out found
    """
    from ddw_graph.atomic import write_bytes
    from ddw_graph.detection.prediction import predictions
    from ddw_graph.detection.train import kept_detector
    from ddw_graph.errors import DataError
    from ddw_graph.training.picture_files import picture_files
    from ddw_graph.training.train import usable_device

    if adjacency and not as_json and out is None:
        raise click.UsageError("--adjacency needs --json or --out")
    detector = kept_detector(model, device=usable_device(device))
    files = picture_files(paths)
    pictures = [] if out is None else _free_pictures(out, files, overwrite)
    told: list[dict[str, Any]] = []
    bad = 0

    def left_out(error: DataError) -> None:
        nonlocal bad
        bad += 1
        click.echo(f"{shown(str(error))}; it is left out", err=True)

    for each in predictions(detector, files, bad=left_out):
        entry = each.as_dict(detector.categories, score=score, adjacency=adjacency)
        told.append(entry | {"file": as_text(each.file)})
        if out is not None:
            _draw_prediction(pictures[each.place], detector, each, score, overwrite)
        if not as_json:
            found = entry["detections"]
            words = ", ".join(f"{one['category']} {one['score']:.2f}" for one in found)
            click.echo(f"{shown(each.file)}: {shown(words) or 'nothing'}")
    if bad == len(files):
        raise DataError(f"at least one image must be readable, got {bad} bad")
    if out is not None:
        text = json.dumps(told, indent=1) + "\n"
        file = out / "detections.json"
        write_bytes(file, [text.encode()], overwrite=overwrite)
        click.echo(f"wrote {file} and {len(told)} pictures", err=True)
    if as_json:
        click.echo(json.dumps(told))
    if bad:
        ctx.exit(1)


@detect.command()
@click.option("--out", type=PATH, required=True, help="A new or an empty folder.")
@click.option("--train", type=int, default=400, show_default=True, help="Images.")
@click.option("--val", type=int, default=100, show_default=True, help="Images.")
@click.option(
    "--image-size", type=int, default=128, show_default=True, help="Pixels, square."
)
@click.option(
    "--objects", type=int, default=4, show_default=True, help="Most of an image."
)
@click.option(
    "--min-scale",
    type=float,
    default=0.25,
    show_default=True,
    help="Least side of an object, in shares of the image's.",
)
@click.option(
    "--max-scale", type=float, default=0.55, show_default=True, help="Largest side."
)
@click.option(
    "--colour/--no-colour",
    default=True,
    show_default=True,
    help="Whether each object has a colour of its own.",
)
@click.option(
    "--crops",
    type=int,
    default=0,
    show_default=True,
    help="Images of one object to make of each class too, for a classifier.",
)
@click.option(
    "--crop-size", type=int, default=64, show_default=True, help="Pixels of a crop."
)
@click.option(
    "--class",
    "classes",
    multiple=True,
    help="Of objects, such as Bag; may be given often.  [default: all ten]",
)
@click.option(
    "--root",
    type=PATH,
    help="Folder of all of Fashion-MNIST.  [default: the part in the package]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Fixes all of it.")
@JSON_OPTION
def synthesize(
    out: Path,
    root: Path | None,
    seed: int,
    as_json: bool,
    classes: tuple[str, ...],
    **options: Any,
) -> None:
    """Make synthetic data in COCO's format, to try detection with no download.

    The images are SYNTHETIC composites: objects of Fashion-MNIST, pasted on photographs
    that come with scikit-learn and scikit-image. Objects and photographs of training
    and of testing have nothing in common.

    \b
    ddw-graph detect synthesize --out data
    ddw-graph detect synthesize --crops 300 --seed 1 --out data
    """
    from ddw_graph.detection.synthetic import Synthesis, synthesize

    synthesis = Synthesis(**options, classes=classes or None)
    made = synthesize(out, synthesis, seed=seed, root=root)
    if as_json:
        click.echo(json.dumps({"folder": str(out), "synthetic": True, **made}))
        return
    words = ", ".join(f"{count} {name}" for name, count in made.items())
    click.echo(f"{out}: synthetic images, {words}")


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


def _table(report: dict[str, Any]) -> str:
    from ddw_graph.analysis.markdown import markdown_table, number
    from ddw_graph.detection.figures import FIGURES

    rows = [[name, number(report[name], ".3f")] for name in FIGURES]
    return markdown_table(["figure", "value"], rows).rstrip("\n")


def _drawn(detector: "Detector", boxes: "Boxes", score: float) -> "list[Drawn]":
    from ddw_graph.analysis.detection_figure import Drawn

    scores = boxes["scores"].tolist() if "scores" in boxes else None
    drawn = []
    pairs = zip(boxes["boxes"].tolist(), boxes["labels"].tolist(), strict=True)
    for place, (bounds, label) in enumerate(pairs):
        words = ""
        if scores is not None:
            if scores[place] < score:
                continue
            words = f"{detector.categories[label - 1].name} {scores[place]:.2f}"
        drawn.append(Drawn(label - 1, words, tuple(bounds)))
    return drawn


def _scene(
    detector: "Detector",
    name: str,
    image: "Tensor",
    found: "Boxes",
    score: float,
    truth: "Boxes | None" = None,
) -> "Scene":
    from ddw_graph.analysis.detection_figure import Scene

    there = [] if truth is None else _drawn(detector, truth, score)
    pixels = image.permute(1, 2, 0).numpy()
    return Scene(name, pixels, _drawn(detector, found, score), there)


def _free_pictures(out: Path, files: Sequence[str], overwrite: bool) -> list[Path]:
    """Returns where each image's picture goes, before hours go into what they show."""
    from ddw_graph.atomic import check_free

    out.mkdir(parents=True, exist_ok=True)
    # Numbers tell files of the same name in several folders apart.
    digits = len(str(len(files)))
    paths = [
        out / f"{number:0{digits}}-{Path(file).stem[:100]}.png"
        for number, file in enumerate(files, start=1)
    ]
    for path in (out / "detections.json", *paths):
        check_free(path, overwrite=overwrite)
    return paths


def _draw_prediction(
    path: Path, detector: "Detector", each: "Prediction", score: float, overwrite: bool
) -> None:
    from ddw_graph.analysis.detection_figure import detection_figure
    from ddw_graph.analysis.pictures import save_figure

    name = shown(Path(each.file).name)
    scene = _scene(detector, name, each.image, each.found.boxes, score)
    save_figure(detection_figure([scene], inches=8), path, overwrite=overwrite)


def _draw_evaluation(
    path: Path,
    detector: "Detector",
    data: "CocoData",
    found: "list[Boxes]",
    score: float,
    overwrite: bool,
) -> None:
    from ddw_graph.analysis.detection_figure import detection_figure
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.detection.loading import batches

    parts = [[place] for place in range(min(SHOWN, len(data.images)))]
    scenes = [
        _scene(detector, data.images[place].name, image, found[place], score, truth)
        for (place,), (image,), (truth,) in batches(data, parts)
    ]
    kind = "synthetic images" if data.synthetic else "images"
    title = f"Detections in {kind}; dashed: what is there"
    save_figure(detection_figure(scenes, title=title), path, overwrite=overwrite)
