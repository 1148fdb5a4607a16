"""The command that draws learning curves, and what was collected."""

from collections.abc import Iterator
from pathlib import Path

import click

from ddw_graph.cli.options import OVERWRITE_OPTION

WHAT = ("curves", "weights")
KINDS = ("histogram", "mean", "std")


@click.command()
@click.argument(
    "runs",
    metavar="RUN...",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path),
)
@click.option(
    "--what",
    type=click.Choice(WHAT),
    help="curves: loss and accuracy over epochs. weights: those of the edges, of one "
    "analyzed RUN.  [default: weights of one RUN, curves of several]",
)
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="Of weights: histogram of all, mean (Fig. 4) or std (Fig. 5) of each edge; "
    "may be given often.  [default: all]",
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
    help="Folder of the pictures.  [default: that of the analysis; for curves RUN, or "
    "of several the current one]",
)
@OVERWRITE_OPTION
def plot(
    runs: tuple[Path, ...],
    what: str | None,
    kinds: tuple[str, ...],
    ending: str,
    out: Path | None,
    overwrite: bool,
) -> None:
    """Draw learning curves of RUNs, or the edge weights of an analyzed RUN.

    Curves: loss and accuracy over epochs, in training and in tests; runs of the same
    configuration but seed are drawn as their mean, with a band of one deviation,
    over the epochs that all of them have.

    Weights: a panel for each stage. RUN is a run with an analysis, or the folder of an
    analysis.

    \b
    ddw-graph plot comparison/runs/*/seed-* --out pictures
    ddw-graph plot runs/ddw --what curves
    ddw-graph plot runs/ddw --kind mean --kind std
    """
    what = what or ("weights" if len(runs) == 1 else "curves")
    if what == "curves":
        if kinds:
            raise click.UsageError(f"--kind {kinds[0]} is of the weights of one RUN")
        paths = _curves(runs, ending, out, overwrite)
    elif len(runs) > 1:
        raise click.UsageError(f"weights are of one RUN, got {len(runs)}")
    else:
        paths = _weights(runs[0], kinds or KINDS, ending, out, overwrite)
    for path in paths:
        click.echo(path)


def _curves(
    runs: tuple[Path, ...], ending: str, out: Path | None, overwrite: bool
) -> Iterator[Path]:
    """Draws the learning curves of runs, and yields the picture's path."""
    from ddw_graph.analysis.learning_curves import curve_figure, curves_of
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.experiments.groups import groups

    curves = [curves_of(group) for group in groups(runs)]
    target = out or (runs[0] if len(runs) == 1 else Path())
    target.mkdir(parents=True, exist_ok=True)
    path = target / f"curves.{ending}"
    save_figure(curve_figure(curves), path, overwrite=overwrite)
    yield path


def _weights(
    run: Path, kinds: tuple[str, ...], ending: str, out: Path | None, overwrite: bool
) -> Iterator[Path]:
    """Draws the edge weights of an analyzed run, and yields each picture's path."""
    from ddw_graph.analysis.collect import open_analysis
    from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.analysis.statistics.edges import edge_table

    collection = open_analysis(run)
    target = out or collection.folder
    target.mkdir(parents=True, exist_ok=True)
    edges = edge_table(collection)
    for kind in kinds:
        figure = (
            weight_histograms({run.name: collection})
            if kind == "histogram"
            else weight_heatmaps(collection, edges, kind)
        )
        path = target / f"{kind}.{ending}"
        save_figure(figure, path, overwrite=overwrite)
        yield path
