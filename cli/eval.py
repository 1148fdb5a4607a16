"""The command that evaluates trained networks."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import computing_device, place_options
from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH, RUNS_ARGUMENT
from ddw_graph.cli.setting_options import SettingsCommand
from ddw_graph.cli.training_options import (
    SPLIT_OPTION,
    common_source,
    run_data_options,
)


@click.command(cls=SettingsCommand)
@RUNS_ARGUMENT
@run_data_options
@SPLIT_OPTION
@click.option("--out", type=PATH, help="CSV file: a row for each RUN.")
@OVERWRITE_OPTION
@click.option(
    "--batch-size",
    type=click.IntRange(min=1),
    help="Samples at a time.  [default: 250 images; of a text 32,768 tokens]",
)
@place_options
@JSON_OPTION
def eval(
    runs: tuple[Path, ...],
    split: str,
    out: Path | None,
    overwrite: bool,
    batch_size: int | None,
    workers: int,
    device: str,
    threads: int | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Evaluate trained RUNs on images or a text, their own or others.

    Accuracy, top-5 accuracy, loss, and the share of the MACs that an image asks for.
    RUNs that differ only in their seeds are one row; differences are to the first
    row, paired by seed. Images are prepared as each RUN's own were.

    --set holdout=0 takes the test images for runs with held-out images.

    \b
    ddw-graph eval runs/ddw
    ddw-graph eval runs/ddw --data folder --root photographs
    ddw-graph eval sweep/runs/* --set holdout=0 --out test.csv
    """
    import pandas as pd

    from ddw_graph.atomic import check_free, write_bytes
    from ddw_graph.cli.progress import counting
    from ddw_graph.cli.tables import evaluation_table
    from ddw_graph.experiments.evaluations import evaluation_summary, evaluations
    from ddw_graph.experiments.groups import groups
    from ddw_graph.training.data import load_source
    from ddw_graph.training.run import Run

    if out is not None:
        check_free(out, overwrite=overwrite)
    place = computing_device(device, threads)
    found = groups(runs)
    source = common_source([Run(run) for run in runs], options)
    data = load_source(source, workers=workers)
    with counting("runs") as count:
        rows = evaluations(
            found,
            data,
            split=split,
            batch_size=batch_size,
            device=place,
            workers=workers,
            progress=count,
        )
    if out is not None:
        content = pd.DataFrame(rows).to_csv(index=False).encode()
        write_bytes(out, [content], overwrite=overwrite)
    table = evaluation_summary(rows)
    text = json.dumps({"runs": rows, "summary": table})
    click.echo(text if as_json else evaluation_table(table).rstrip("\n"))
