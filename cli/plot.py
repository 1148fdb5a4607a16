"""The command that draws learning curves, and what was collected."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddw_graph.cli.options import OVERWRITE_OPTION, RUNS_ARGUMENT, names_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WHAT = ("curves", "weights")
KINDS = (
    *("histogram", "mean", "std", "positions", "tokens"),
    *("classes", "sample", "learning"),
)
USUAL = KINDS[:3]
SEVERAL = KINDS[:5]
"""Kinds that show several runs beside each other."""


@click.command()
@RUNS_ARGUMENT
@click.option(
    "--what",
    type=click.Choice(WHAT),
    help="curves: loss and accuracy over epochs. weights: those of the edges, of "
    "analyzed RUNs.  [default: weights of one RUN, curves of several]",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Of weights: histogram of all, mean (Fig. 4) or std (Fig. 5) of each edge, "
    "mean weights over positions or tokens (of analyze --positions; of images maps of "
    "a sample), mean wirings of classes, the wiring of a sample, learning of each edge "
    "over epochs; may be given often.  [default: histogram, mean, std]",
)
@click.option(
    "--sample",
    type=int,
    help="Of sample, and of positions of images: which, from 0.  [default: 0]",
)
@click.option(
    "--edge",
    "edges",
    multiple=True,
    help="Of positions: which, as stage:source-target such as 1:0-5; may be given "
    "often.  [default: a line for each distance; of images those that vary most]",
)
@click.option(
    "--class", "classes", multiple=True, help="Of classes: which; may be given often."
)
@click.option(
    "--format",
    "ending",
    type=click.Choice(["png", "svg", "pdf"]),
    default="png",
    show_default=True,
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the pictures.  [default: that of the analysis; for curves RUN; of "
    "several the current one]",
)
@OVERWRITE_OPTION
def plot(
    runs: tuple[Path, ...],
    what: str | None,
    kinds: tuple[str, ...],
    sample: int | None,
    edges: tuple[str, ...],
    classes: tuple[str, ...],
    ending: str,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Draw curves of RUNs, or edge weights of analyzed RUNs.

    Curves: loss and accuracy over epochs, in training and in tests; runs of the same
    configuration but seed are drawn as their mean, with a band of one standard
    deviation, over the epochs that all of them have. Runs without an epoch are left out
    and named, unless no run has one.

    Weights: a panel for each stage. RUN is a finished run, or the folder of an
    analysis. Several, such as one of learned and one of dynamic edges, stand beside
    each other on one scale.

    \b
    ddw-graph plot comparison/runs/*/seed-* --out pictures
    ddw-graph plot runs/ddw --what curves
    ddw-graph plot runs/ddw --kind mean --kind std
    ddw-graph plot runs/ddw --kind sample --sample 17 --format svg
    ddw-graph plot runs/learned runs/ddw --kind mean --kind positions
    """
    for value, option, of in (
        (classes, "--class", ("classes",)),
        (sample is not None, "--sample", ("sample", "positions")),
        (edges, "--edge", ("positions",)),
    ):
        if value and not set(of) & set(kinds):
            raise click.UsageError(f"{option} needs --kind {' or '.join(of)}")
    what = what or ("weights" if kinds or len(runs) == 1 else "curves")
    if what == "curves":
        if kinds:
            raise click.UsageError(f"--kind {kinds[0]} is of --what weights")
        paths = _curves(runs, ending, out, overwrite)
    else:
        if len({run.resolve() for run in runs}) < len(runs):
            raise click.UsageError("RUNs must be different ones, got one twice")
        for kind in kinds if len(runs) > 1 else ():
            if kind not in SEVERAL:
                raise click.UsageError(f"--kind {kind} is of one RUN, got {len(runs)}")
        figures = _figures(runs, kinds or USUAL, sample or 0, edges, classes)
        paths = _saved(runs, figures, ending, out, overwrite)
    for path in paths:
        click.echo(path)


def _curves(
    runs: tuple[Path, ...], ending: str, out: Path | None, overwrite: bool
) -> Iterator[Path]:
    """Draws the learning curves of runs, and yields the picture's path."""
    from ddw_graph.analysis.learning_curves import curve_figure, curves_of
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.experiments.groups import groups
    from ddw_graph.training.log import finished_epochs

    found = groups(runs)
    young = [run for run in runs if not finished_epochs(run)]
    if 0 < len(young) < len(runs):
        found = groups([run for run in runs if run not in young])
        for run in young:
            click.echo(f"{run} has no epoch yet and is left out", err=True)
    curves = curves_of(found)
    target = out or (runs[0] if len(runs) == 1 else Path())
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"curves.{ending}"
    save_figure(curve_figure(curves), path, overwrite=overwrite)
    yield path


def _figures(
    runs: tuple[Path, ...],
    kinds: tuple[str, ...],
    sample: int,
    edges: tuple[str, ...],
    classes: tuple[str, ...],
) -> "Iterator[tuple[str, Figure]]":
    """Yields pictures of the wirings of runs, each with its name."""
    from ddw_graph.analysis.figures import (
        class_heatmaps,
        weight_heatmaps,
        weight_histograms,
    )
    from ddw_graph.analysis.position_figures import (
        edge_named,
        has_maps,
        position_figure,
        position_maps,
        token_figure,
    )
    from ddw_graph.analysis.wiring_figures import learning_figure, sample_figure
    from ddw_graph.training.collection import open_collection
    from ddw_graph.training.run import Run

    chosen = [edge_named(edge) for edge in edges]
    for kind in kinds:
        if kind == "learning":
            yield kind, learning_figure(Run(runs[0]).edge_log)
            continue
        found = {
            name: open_collection(run)
            for name, run in zip(names_of(runs), runs, strict=True)
        }
        collection = next(iter(found.values()))
        if kind == "histogram":
            yield kind, weight_histograms(found)
        elif kind == "tokens":
            yield kind, token_figure(found)
        elif kind == "positions" and any(map(has_maps, found.values())):
            if len(runs) > 1:
                raise click.UsageError(
                    f"maps of positions are of one RUN, got {len(runs)}"
                )
            yield f"{kind}-{sample}", position_maps(collection, sample, chosen)
        elif kind == "positions":
            yield kind, position_figure(found, chosen)
        elif kind == "classes":
            yield kind, class_heatmaps(collection, classes)
        elif kind == "sample":
            yield f"sample-{sample}", sample_figure(collection, sample)
        else:
            yield kind, weight_heatmaps(found, kind)


def _saved(
    runs: tuple[Path, ...],
    figures: "Iterator[tuple[str, Figure]]",
    ending: str,
    out: Path | None,
    overwrite: bool,
) -> Iterator[Path]:
    """Writes pictures, and yields the path of each."""
    from ddw_graph.analysis.pictures import save_figure

    inside = runs[0] / "analysis"
    target = out or (inside if inside.is_dir() else runs[0])
    if len(runs) > 1:
        target = out or Path()
    for name, figure in figures:
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{name}.{ending}"
        save_figure(figure, path, overwrite=overwrite)
        yield path
