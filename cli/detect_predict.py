"""The command that finds objects in images."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.detection_options import DETECTOR_ARGUMENT, PATH, score_option
from ddw_graph.cli.execution_options import (
    DEVICE_OPTION,
    THREADS_OPTION,
    computing_device,
)
from ddw_graph.cli.file_names import as_text
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.printable import printable


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
@THREADS_OPTION
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
    threads: int | None,
    as_json: bool,
) -> None:
    """Find objects in images with a DETECTOR: a run's folder or a file.

    Images that cannot be read are named on stderr and left out; the exit code is then
    1.

    \b
    ddw-graph detect predict runs/detector photo.jpg --adjacency --json
    ddw-graph detect predict runs/detector photographs/ --out found
    """
    from ddw_graph.atomic import write_bytes
    from ddw_graph.detection.detector import Detector
    from ddw_graph.detection.evaluation import found_in
    from ddw_graph.detection.images import read_image
    from ddw_graph.errors import DataError
    from ddw_graph.training.pictures import UnreadableError, picture_files
    from ddw_graph.training.run import kept_network

    if adjacency and not as_json and out is None:
        raise click.UsageError("--adjacency needs --json or --out")
    where = computing_device(device, threads)
    detector = kept_network(model, kind=Detector, device=where)
    # A lower score than that of its settings can be asked for here.
    detector.roi_heads.score_thresh = min(score, detector.settings.score)
    files = picture_files(paths)
    categories = detector.categories
    pictures = []
    if out is not None:
        from ddw_graph.analysis.detection_figure import Scene, detection_figure
        from ddw_graph.analysis.pictures import save_figure

        pictures = _free_pictures(out, files, overwrite)
    entries: list[dict[str, Any]] = []
    for place, name in enumerate(files):
        try:
            image = read_image(Path(name), detector.in_channels)
        except UnreadableError as error:
            click.echo(f"{printable(str(error))}; it is left out", err=True)
            continue
        found = found_in(detector, image)
        detections = found.detections(categories, score=score)
        entry = {"file": as_text(name), "detections": detections}
        if adjacency:
            entry["adjacency"] = [matrix.tolist() for matrix in found.adjacency]
        entries.append(entry)
        if out is not None:
            scene = Scene(printable(Path(name).name), image, found.boxes)
            figure = detection_figure([scene], categories, score=score, inches=8)
            save_figure(figure, pictures[place], overwrite=overwrite)
        if not as_json:
            words = (f"{each['category']} {each['score']:.2f}" for each in detections)
            click.echo(f"{printable(name)}: {printable(', '.join(words)) or 'nothing'}")
    if not entries:
        raise DataError(f"at least one image must be readable, got {len(files)} bad")
    if out is not None:
        text = json.dumps(entries, indent=1) + "\n"
        file = out / "detections.json"
        write_bytes(file, [text.encode()], overwrite=overwrite)
        click.echo(f"wrote {file} and {len(entries)} pictures", err=True)
    if as_json:
        click.echo(json.dumps(entries))
    if len(entries) < len(files):
        ctx.exit(1)


def _free_pictures(out: Path, files: Sequence[str], overwrite: bool) -> list[Path]:
    """Returns the file of each image's picture, none of which may be there already."""
    from ddw_graph.atomic import check_free

    out.mkdir(parents=True, exist_ok=True)
    # Numbered, since files in several folders can have the same name.
    digits = len(str(len(files)))
    paths = [
        out / f"{number:0{digits}}-{Path(file).stem[:100]}.png"
        for number, file in enumerate(files, start=1)
    ]
    for path in (out / "detections.json", *paths):
        check_free(path, overwrite=overwrite)
    return paths
