"""The command that evaluates a detector."""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.detection_options import (
    DETECTOR_ARGUMENT,
    PATH,
    bad_boxes_option,
    bad_images_option,
    score_option,
)
from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.tables import figure_table

if TYPE_CHECKING:
    from ddw_graph.detection.coco import BadBoxes, CocoData
    from ddw_graph.detection.detector import Detector

SHOWN = 8
"""Most images in the picture."""


@click.command("eval")
@DETECTOR_ARGUMENT
@click.option("--root", type=PATH, help="Folder of the data; its part val is used.")
@click.option("--images", type=PATH, help="Folder of images, if not --root.")
@click.option("--annotations", type=PATH, help="Their JSON file.")
@bad_boxes_option
@bad_images_option
@click.option(
    "--detections", type=PATH, help="JSON file of all detections, in COCO's form."
)
@click.option(
    "--picture",
    type=PATH,
    help=f"Picture of the first {SHOWN} images, with boxes found and annotated.",
)
@score_option("Least score of a box in the picture; the figures use all.")
@OVERWRITE_OPTION
@place_options
@JSON_OPTION
def evaluate(
    model: Path,
    root: Path | None,
    images: Path | None,
    annotations: Path | None,
    bad_boxes: "BadBoxes",
    bad_images: str,
    detections: Path | None,
    picture: Path | None,
    score: float,
    overwrite: bool,
    device: str,
    threads: int | None,
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
    from ddw_graph.detection.detector import Detector
    from ddw_graph.detection.evaluation import coco_results
    from ddw_graph.detection.figures import coco_figures
    from ddw_graph.training.run import kept_network

    for path in filter(None, (detections, picture)):
        check_free(path, overwrite=overwrite)
    if picture is not None:
        from ddw_graph.analysis.pictures import check_ending

        check_ending(picture.suffix)
    if root is not None and images is None and annotations is None:
        data = coco_split(root, "val", bad_boxes=bad_boxes)
    elif root is None and images is not None and annotations is not None:
        data = coco_data(images, annotations, bad_boxes=bad_boxes)
    else:
        raise click.UsageError("--root is needed, or --images with --annotations")
    detector = kept_network(
        model, kind=Detector, device=computing_device(device, threads)
    )
    data.check_categories(detector.categories, model)
    if bad_images == "skip":
        data = data.readable(workers=workers)
    results = coco_results(detector, data, workers=workers)
    report: dict[str, Any] = {
        **coco_figures(data, results),
        "images": len(data),
        "synthetic": data.synthetic,
    }
    if detections is not None:
        text = json.dumps(results) + "\n"
        write_bytes(detections, [text.encode()], overwrite=overwrite)
    if picture is not None:
        _draw_evaluation(picture, detector, data, score, overwrite)
    if as_json:
        click.echo(json.dumps(report))
    else:
        kind = "synthetic images" if data.synthetic else "images"
        click.echo(f"{model}, {len(data)} {kind}:")
        click.echo(figure_table(report))


def _draw_evaluation(
    path: Path, detector: "Detector", data: "CocoData", score: float, overwrite: bool
) -> None:
    from ddw_graph.analysis.detection_figure import Scene, detection_figure
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.detection.evaluation import found_in

    data = replace(data, channels=detector.in_channels)
    scenes = []
    for place, entry in enumerate(data.images[:SHOWN]):
        image, truth = data[place]
        found = found_in(detector, image).boxes
        scenes.append(Scene(entry["file_name"], image, found, truth))
    kind = "synthetic images" if data.synthetic else "images"
    title = f"Detections in {kind}; dashed: annotated"
    figure = detection_figure(scenes, detector.categories, score=score, title=title)
    save_figure(figure, path, overwrite=overwrite)
