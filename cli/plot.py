"""The command that draws what was collected."""

from pathlib import Path

import click

from ddw_graph.cli.options import OVERWRITE_OPTION

KINDS = ("histogram", "mean", "std")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--kind",
    "kinds",
    type=click.Choice(KINDS),
    multiple=True,
    help="histogram of the weights, mean (Fig. 4) or std (Fig. 5) of each edge; "
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
    help="Folder of the pictures.  [default: that of the analysis]",
)
@OVERWRITE_OPTION
def plot(
    run: Path, kinds: tuple[str, ...], ending: str, out: Path | None, overwrite: bool
) -> None:
    """Draw the edge weights of an analyzed RUN, a panel for each stage.

    RUN is a run with an analysis, or the folder of an analysis.

    \b
    ddw-graph plot runs/ddw --kind mean --kind std
    """
    from ddw_graph.analysis.collect import open_collection
    from ddw_graph.analysis.figures import weight_heatmaps, weight_histograms
    from ddw_graph.analysis.pictures import save_figure
    from ddw_graph.analysis.statistics import edge_table

    inside = run / "analysis"
    folder = inside if inside.is_dir() else run
    collection = open_collection(folder)
    target = out or folder
    target.mkdir(parents=True, exist_ok=True)
    edges = edge_table(collection)
    for kind in kinds or KINDS:
        figure = (
            weight_histograms({run.name: collection})
            if kind == "histogram"
            else weight_heatmaps(collection, edges, kind)
        )
        path = target / f"{kind}.{ending}"
        save_figure(figure, path, overwrite=overwrite)
        click.echo(path)
