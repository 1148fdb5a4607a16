"""The command that collects each sample's adjacency."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.training_options import data_options, data_source


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@data_options
@click.option(
    "--split",
    type=click.Choice(["test", "train"]),
    default="test",
    show_default=True,
    help="Which images.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the analysis.  [default: RUN/analysis]",
)
@OVERWRITE_OPTION
@click.option("--workers", type=int, default=0, help="Processes that load images.")
@JSON_OPTION
def analyze(
    run: Path,
    split: str,
    out: Path | None,
    overwrite: bool,
    workers: int,
    as_json: bool,
    **options: Any,
) -> None:
    """Collect the weight of every edge for every sample of a trained RUN.

    Writes the weights (stage-K.npy), label, prediction and loss of each sample
    (samples.csv), and mean and standard deviation of each edge (edges.csv).

    \b
    ddw-graph analyze runs/ddw
    """
    from ddw_graph.analysis.collect import collect
    from ddw_graph.analysis.statistics import stage_table, write_edge_table
    from ddw_graph.cli.progress import bar
    from ddw_graph.training.run import RunFolder
    from ddw_graph.training.train import check_fit, trained_model

    model = trained_model(run)
    data = data_source(options).load()
    check_fit(RunFolder(run).config()["model"], data)
    folder = out or run / "analysis"
    with bar() as progress:
        task = progress.add_task("images", total=None)
        collection = collect(
            model,
            data.test if split == "test" else data.train,
            folder,
            workers=workers,
            overwrite=overwrite,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    edges = write_edge_table(collection)
    table = stage_table(edges)
    if as_json:
        stages = table.to_dict(orient="records")
        click.echo(json.dumps({"samples": collection.samples, "stages": stages}))
    else:
        click.echo(f"{folder}: {collection.samples} samples, weighted edges alone")
        click.echo(table.to_string(index=False, float_format=lambda v: f"{v:.4f}"))
