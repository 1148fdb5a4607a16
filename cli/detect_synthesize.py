"""The command that makes synthetic data for detection."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.detection_options import PATH
from ddw_graph.cli.options import JSON_OPTION


@click.command()
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
