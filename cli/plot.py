"""The command that draws learning curves, and what was collected."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddw_graph.cli.options import OVERWRITE_OPTION, PATH, RUNS_ARGUMENT, names_of
from ddw_graph.printable import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

KINDS = (
    *("curves", "histogram", "mean", "std", "positions", "tokens"),
    *("classes", "sample", "learning"),
)
SEVERAL = KINDS[:6]
"""Kinds that show several runs beside each other."""


@click.command()
@RUNS_ARGUMENT
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Curves of loss and accuracy over epochs; the others are of edge weights: "
    "histogram of all, mean (Fig. 4) or std (Fig. 5) of each edge, mean over positions "
    "or tokens (of analyze --positions; of images maps of a sample), mean of classes, "
    "those of a sample, of each edge over epochs (learning); may be given often.  "
    "[default: histogram, mean, std of one RUN, curves of several]",
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
    type=PATH,
    help="Folder of the pictures.  [default: that of the analysis; for curves RUN; of "
    "several the current one]",
)
@OVERWRITE_OPTION
def plot(
    runs: tuple[Path, ...],
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
    ddw-graph plot runs/ddw --kind curves
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
    kinds = kinds or (("curves",) if len(runs) > 1 else ("histogram", "mean", "std"))
    if len({run.resolve() for run in runs}) < len(runs):
        raise click.UsageError("RUNs must be different ones, got one twice")
    for kind in kinds if len(runs) > 1 else ():
        if kind not in SEVERAL:
            raise click.UsageError(f"--kind {kind} is of one RUN, got {len(runs)}")
    from ddw_graph.analysis.pictures import save_figure

    for name, figure in _figures(runs, kinds, sample or 0, edges, classes):
        target = out or (runs[0] if len(runs) == 1 else Path())
        inside = runs[0] / "analysis"
        if out is None and len(runs) == 1 and name != "curves" and inside.is_dir():
            target = inside
        target.mkdir(parents=True, exist_ok=True)
        path = target / f"{name}.{ending}"
        save_figure(figure, path, overwrite=overwrite)
        click.echo(printable(str(path)))


def _curves(runs: tuple[Path, ...]) -> "Figure":
    """Returns the picture of the learning curves of runs."""
    from ddw_graph.analysis.learning_curves import curve_figure, curves_of
    from ddw_graph.experiments.groups import groups
    from ddw_graph.training.log import finished_epochs

    found = groups(runs)
    young = [run for run in runs if not finished_epochs(run)]
    if 0 < len(young) < len(runs):
        found = groups([run for run in runs if run not in young])
        for run in young:
            name = printable(str(run))
            click.echo(f"{name} has no epoch yet and is left out", err=True)
    return curve_figure(curves_of(found))


def _figures(
    runs: tuple[Path, ...],
    kinds: tuple[str, ...],
    sample: int,
    edges: tuple[str, ...],
    classes: tuple[str, ...],
) -> "Iterator[tuple[str, Figure]]":
    """Yields pictures of runs, each with its name."""
    from ddw_graph.analysis import figures, position_figures, wiring_figures
    from ddw_graph.training.collection import open_collection

    chosen = [position_figures.edge_named(edge) for edge in edges]
    for kind in kinds:
        if kind == "curves":
            yield kind, _curves(runs)
            continue
        if kind == "learning":
            from ddw_graph.training.run import Run

            yield kind, wiring_figures.learning_figure(Run(runs[0]).edge_log)
            continue
        found = dict(zip(names_of(runs), map(open_collection, runs), strict=True))
        collection = next(iter(found.values()))
        if kind == "histogram":
            yield kind, figures.weight_histograms(found)
        elif kind == "tokens":
            yield kind, position_figures.token_figure(found)
        elif kind == "positions" and any(
            map(position_figures.has_maps, found.values())
        ):
            if len(runs) > 1:
                raise click.UsageError(
                    f"maps of positions are of one RUN, got {len(runs)}"
                )
            maps = position_figures.position_maps(collection, sample, chosen)
            yield f"{kind}-{sample}", maps
        elif kind == "positions":
            yield kind, position_figures.position_figure(found, chosen)
        elif kind == "classes":
            yield kind, figures.class_heatmaps(collection, classes)
        elif kind == "sample":
            yield f"sample-{sample}", wiring_figures.sample_figure(collection, sample)
        else:
            yield kind, figures.weight_heatmaps(found, kind)
