"""The command that collects each sample's adjacency."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.tables import printed
from ddw_graph.cli.training_options import (
    DEVICE_OPTION,
    SPLIT_OPTION,
    WORKERS_OPTION,
    data_options,
    run_images,
)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@data_options(default="the run's own")
@SPLIT_OPTION
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Folder of the analysis.  [default: RUN/analysis]",
)
@click.option(
    "--parquet", is_flag=True, help="Write samples.parquet too: a column for each edge."
)
@OVERWRITE_OPTION
@WORKERS_OPTION
@DEVICE_OPTION
@JSON_OPTION
def analyze(
    run: Path,
    split: str,
    out: Path | None,
    parquet: bool,
    overwrite: bool,
    workers: int,
    device: str,
    as_json: bool,
    **options: Any,
) -> None:
    """Collect each edge's weight for each sample of a trained RUN.

    Writes the weights (stage-K.npy); label, prediction, loss and expected MACs of each
    sample (samples.csv); mean and standard deviation of each edge (edges.csv).
    Expected MACs leave closed edges and dead nodes out; the time is not measured.

    \b
    ddw-graph analyze runs/ddw
    """
    from ddw_graph.analysis.collect import collect
    from ddw_graph.analysis.parquet import check_parquet, write_parquet
    from ddw_graph.analysis.statistics.edges import stage_table, write_edge_table
    from ddw_graph.cli.progress import bar
    from ddw_graph.training.bad_images import hearing
    from ddw_graph.training.train import trained_model, usable_device

    if parquet:
        check_parquet()
    model = trained_model(run, device=usable_device(device))
    data = run_images(run, options)
    folder = out or run / "analysis"
    with bar() as progress:
        task = progress.add_task("images", total=None)
        collection = collect(
            model,
            data.test if split == "test" else data.train,
            folder,
            classes=data.classes,
            image_size=data.image_size,
            workers=workers,
            overwrite=overwrite,
            bad=hearing(data),
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    edges = write_edge_table(collection)
    if parquet:
        write_parquet(collection)
    table = stage_table(edges)
    macs = float(collection.table()["expected_macs"].mean())
    if as_json:
        stages = table.to_dict(orient="records")
        told = {"samples": collection.samples, "expected_macs": macs, "stages": stages}
        click.echo(json.dumps(told))
    else:
        click.echo(
            f"{folder}: {collection.samples} samples, {macs / 1e6:.2f}M expected MACs "
            "a sample; weighted edges alone:"
        )
        if table.empty:
            click.echo("every edge is constant: there are no weights to describe")
            return
        click.echo(printed(table))
