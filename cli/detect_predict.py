"""The command that finds objects in images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.detection_options import DETECTOR_ARGUMENT, PATH, score_option
from ddw_graph.cli.file_names import as_text, shown
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.training_options import DEVICE_OPTION

if TYPE_CHECKING:
    from ddw_graph.detection.detector import Detector
    from ddw_graph.detection.prediction import Prediction


@click.command()
@DETECTOR_ARGUMENT
@click.argument(
    "paths", metavar="FILE_OR_FOLDER...", type=PATH, nargs=-1, required=True
)
@score_option("Least score of a detection.")
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
    from ddw_graph.training.launch import usable_device
    from ddw_graph.training.pictures import picture_files

    if adjacency and not as_json and out is None:
        raise click.UsageError("--adjacency needs --json or --out")
    detector = kept_detector(model, device=usable_device(device))
    # What its settings leave out may be asked for here.
    detector.roi_heads.score_thresh = min(score, detector.settings.score)
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
    from ddw_graph.analysis.detection_figure import detection_figure, scene_of
    from ddw_graph.analysis.pictures import save_figure

    name = shown(Path(each.file).name)
    boxes, categories = each.found.boxes, detector.categories
    scene = scene_of(name, each.image, boxes, categories, score=score)
    save_figure(detection_figure([scene], inches=8), path, overwrite=overwrite)
