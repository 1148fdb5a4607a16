"""The command that collects each sample's adjacency."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH, RUN_ARGUMENT
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.tables import printed
from ddw_graph.cli.training_options import SPLIT_OPTION, run_data, run_data_options
from ddw_graph.printable import printable


@click.command(cls=SettingsCommand)
@RUN_ARGUMENT
@run_data_options
@SPLIT_OPTION
@click.option(
    "--out", type=PATH, help="Folder of the analysis.  [default: RUN/analysis]"
)
@click.option(
    "--parquet", is_flag=True, help="Write samples.parquet too: a column for each edge."
)
@click.option(
    "--positions",
    type=click.IntRange(min=1),
    help="Keep the weights at each position too, of so many samples.",
)
@OVERWRITE_OPTION
@place_options
@JSON_OPTION
def analyze(
    run: Path,
    split: str,
    out: Path | None,
    parquet: bool,
    positions: int | None,
    overwrite: bool,
    workers: int,
    device: str,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Collect each edge's weight for each sample of a trained RUN.

    A finished RUN holds those of its test images, in RUN/analysis. Other images, or
    another split, need --out or --overwrite.

    Writes the weights (stage-K.npy); label, prediction, loss and expected MACs of each
    sample (samples.csv); mean and standard deviation of each edge (edges.csv).
    Expected MACs leave closed edges and dead nodes out; they are counted, not measured.
    Weights that differ by position are averaged. With --positions all of them are kept
    for the first samples, with the samples (positions.npz).

    \b
    ddw-graph analyze runs/ddw
    ddw-graph analyze runs/ddw --positions 8
    ddw-graph analyze runs/ddw --split train --out runs/ddw/training-images
    """
    from ddw_graph.analysis.collect import collect, keep_positions
    from ddw_graph.analysis.parquet import check_parquet, write_parquet
    from ddw_graph.analysis.report_files import write_files
    from ddw_graph.analysis.statistics.edges import edge_table, weight_table
    from ddw_graph.cli.progress import counting
    from ddw_graph.errors import DataError
    from ddw_graph.training.run import Run
    from ddw_graph.training.text_data import Tokenizer

    if parquet:
        check_parquet()
    trained, folder = Run(run), out or run / "analysis"
    # A holdout of 0 asks for other images than the run's.
    given = any(value is not None and value is not False for value in options.values())
    own = not (given or out or overwrite) and split == "test"
    kept = own and trained.result is not None and folder.exists()
    if kept:
        collection = trained.analysis
    if not kept or positions is not None:
        data: Any = run_data(trained, options, workers=workers)
        network = trained.network(device=computing_device(device, threads))
        images = data.inputs(split, network)
        if kept and data.digest != trained.config["data"].get("digest"):
            raise DataError(
                f"positions are those of the samples in {folder}, got other samples "
                f"from {data.name}, which have changed; --overwrite analyzes them"
            )
    if not kept:
        with counting("samples") as progress:
            collection = collect(
                network,
                images,
                folder,
                classes=data.classes,
                workers=workers,
                overwrite=overwrite,
                progress=partial(progress, of=len(images)),
            )
    if positions is not None:
        texts = []
        if data.task == "language":
            texts = Tokenizer(data.source.tokenizer).texts()
        collection = keep_positions(
            collection,
            network,
            images,
            positions,
            vocabulary=texts,
            workers=workers,
        )
    assert collection.folder is not None, "it has just been written"
    write_files(collection.folder, tables={"edges": edge_table(collection)})
    if parquet:
        write_parquet(collection)
    table = weight_table(collection)
    macs = float(collection.column("expected_macs").mean())
    if as_json:
        stages = table.to_dict(orient="records")
        found = {"samples": collection.samples, "expected_macs": macs, "stages": stages}
        click.echo(json.dumps(found))
        return
    name, count = printable(str(folder)), collection.samples
    click.echo(
        f"{name}: {count} samples, {macs / 1e6:.2f}M expected MACs a sample; weighted "
        "edges only:"
    )
    if table.empty:
        click.echo("every edge is constant: there are no weights to describe")
        return
    click.echo(printed(table))
