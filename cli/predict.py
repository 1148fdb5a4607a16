"""The command that names the classes of image files."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.file_names import as_text
from ddw_graph.cli.options import JSON_OPTION, PATH, RUN_OPTION
from ddw_graph.printable import printable

if TYPE_CHECKING:
    from ddw_graph.deployment.predict import Prediction
    from ddw_graph.training.bad_images import BadImage


@click.command()
@click.argument("model", metavar="RUN", type=PATH)
@click.argument(
    "paths",
    metavar="FILE_OR_FOLDER...",
    nargs=-1,
    required=True,
    type=PATH,
)
@RUN_OPTION
@click.option(
    "--top",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Classes to name of each image.",
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV.")
@JSON_OPTION
@click.option(
    "--adjacency", is_flag=True, help="With --json: the weight of every edge too."
)
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    default=64,
    show_default=True,
    help="Images at a time.",
)
@place_options
@click.pass_context
def predict(
    ctx: click.Context,
    model: Path,
    paths: tuple[Path, ...],
    run: Path | None,
    top: int,
    as_csv: bool,
    as_json: bool,
    adjacency: bool,
    batch_size: int,
    workers: int,
    device: str,
    threads: int | None,
) -> None:
    """Name the classes of images, and how each was wired.

    Of each image: the most probable classes, open edges and alive nodes of its wiring,
    and its expected MACs. Images are prepared as the RUN's evaluation does; RUN
    may be a saved network too. Those that cannot be read are named on stderr and left
    out, and the exit code is then 1.

    \b
    ddw-graph predict runs/ddw shoe.png photographs/
    ddw-graph predict runs/ddw photographs/ --csv > classes.csv
    """
    from ddw_graph.deployment.predict import Predictor
    from ddw_graph.deployment.trained import trained
    from ddw_graph.errors import DataError
    from ddw_graph.training.pictures import picture_files

    if as_csv and as_json:
        raise click.UsageError("one of --csv and --json, got both")
    if adjacency and not as_json:
        raise click.UsageError("--adjacency needs --json")
    place = computing_device(device, threads)
    predictor = Predictor(trained(model, run=run, device=place))
    files = picture_files(paths)
    if not as_json:
        click.echo(f"images: {predictor.transform}", err=True)
    bad = 0

    def left_out(images: "Sequence[BadImage]") -> None:
        nonlocal bad
        bad += len(images)
        for image in images:
            words = f"{image.name} is left out: {image.reason}"
            click.echo(printable(words), err=True)

    found = predictor.predictions(
        files,
        top=top,
        batch_size=batch_size,
        workers=workers,
        weights=adjacency,
        bad=left_out,
    )
    about = predictor.about()
    if as_json:
        _write_json(about, found, lambda: bad)
    elif as_csv:
        _write_csv(found, min(top, len(predictor.classes)))
    else:
        _write_table(found, about, files)
    if bad == len(files):
        raise DataError(f"at least one image must be readable, got {bad} bad")
    if bad:
        ctx.exit(1)


def _write_json(
    about: dict[str, Any], found: "Iterator[Prediction]", bad: Callable[[], int]
) -> None:
    """Prints one object, an image a line, as they come."""
    click.echo(f'{json.dumps(about)[:-1]}, "images": [', nl=False)
    comma = ""
    for prediction in found:
        values = prediction.as_dict()
        values["file"] = as_text(prediction.file)
        click.echo(f"{comma}\n{json.dumps(values)}", nl=False)
        comma = ","
    click.echo(f'\n], "left_out": {bad()}}}')


def _write_csv(found: "Iterator[Prediction]", names: int) -> None:
    """Prints a header and a row for each image, as they come."""
    output: Any = SimpleNamespace(write=partial(click.echo, nl=False))
    writer = csv.writer(output, lineterminator="\n")
    ranks = ["", *(f"_{rank}" for rank in range(2, names + 1))]
    header = [f"{key}{rank}" for rank in ranks for key in ("class", "probability")]
    writer.writerow(["file", *header, "open_edges", "alive_nodes", "expected_macs"])
    for each in found:
        pairs = zip(each.classes, each.probabilities, strict=True)
        cells = [cell for name, p in pairs for cell in (printable(name), f"{p:.6f}")]
        wiring = [each.open_edges, each.alive_nodes, each.expected_macs]
        writer.writerow([printable(each.file), *cells, *wiring])


def _write_table(
    found: "Iterator[Prediction]", about: dict[str, Any], files: Sequence[str]
) -> None:
    """Prints lines whose columns line up, as wide as the longest file name."""
    wide = max(4, *(len(printable(name)) for name in files))
    of_edges = f"of {about['edges']} edges"
    of_nodes = f"of {about['computing']} computing nodes"
    header = f"{'file':{wide}}  {of_edges}  {of_nodes}  expected MACs, M  classes"
    click.echo(header)
    for each in found:
        pairs = zip(each.classes, each.probabilities, strict=True)
        classes = ", ".join(f"{printable(name)} {100 * p:.1f} %" for name, p in pairs)
        click.echo(
            f"{printable(each.file):{wide}}  {each.open_edges:>{len(of_edges)}}  "
            f"{each.alive_nodes:>{len(of_nodes)}}  {each.expected_macs / 1e6:16.2f}  "
            f"{classes}"
        )
