"""The command that prints tables of an analysis."""

from pathlib import Path

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION, PATH, RUN_ARGUMENT
from ddw_graph.cli.tables import printed

WHAT = {
    "weights": "mean, std and openness of the edges of each stage (or --by)",
    "positions": "weights at each position, of the samples of analyze --positions",
    "tokens": "weights at the most frequent tokens, of the same samples",
    "classes": "mean and std of each edge in each class",
    "information": "what each edge's weight reveals of the class",
    "paths": "of each sample: open paths, effective depth, the dominant path",
    "dominant": "how many samples have the same dominant path",
    "unusual": "the samples whose wirings are furthest from their class's",
    "difficulty": "correlation of a wiring's cost, depth, ... with the loss",
}

GROUPED = ("weights", "positions", "tokens")
"""Tables whose rows are groups of edges."""

OF_ALL_EDGES = ("paths", "dominant", "difficulty")
"""Tables that include constant edges."""


@click.command(
    epilog="\b\n" + "\n".join(f"{name:<12} {words}" for name, words in WHAT.items())
)
@RUN_ARGUMENT
@click.option(
    "--what", type=click.Choice(list(WHAT)), default="weights", show_default=True
)
@click.option(
    "--by",
    type=click.Choice(["stage", "source", "target", "distance", "edge"]),
    help="Of weights, positions and tokens: which edges of a stage are one row.  "
    "[default: stage]",
)
@click.option("--tokens", type=int, help="Of tokens: how many.  [default: 20]")
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many to print; files and JSON have all.",
)
@click.option("--out", type=PATH, help="Write a CSV file too.")
@OVERWRITE_OPTION
@JSON_OPTION
def statistics(
    run: Path,
    what: str,
    by: str | None,
    tokens: int | None,
    rows: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Print tables of the wirings of an analyzed RUN.

    RUN is a finished run, or the folder of an analysis. Constant edges are left out of
    tables of weights.

    \b
    ddw-graph statistics runs/ddw --what information
    ddw-graph statistics runs/ddw --what paths --out paths.csv
    ddw-graph statistics runs/ddw --what positions --by edge
    """
    if by is not None and what not in GROUPED:
        raise click.UsageError(f"--by needs --what {', '.join(GROUPED)}")
    if tokens is not None and what != "tokens":
        raise click.UsageError("--tokens needs --what tokens")
    from ddw_graph.analysis.report_files import csv_bytes
    from ddw_graph.analysis.statistics.edges import check_weighted
    from ddw_graph.analysis.statistics.tables import TABLES
    from ddw_graph.atomic import write_bytes
    from ddw_graph.training.collection import open_collection

    given = {"by": by, "count": tokens}
    collection = open_collection(run)
    if what not in OF_ALL_EDGES:
        check_weighted(collection, str(run))
    settings = {name: value for name, value in given.items() if value is not None}
    table = TABLES[what](collection, **settings)
    if tokens is not None and (found := table["token"].nunique()) < tokens:
        click.echo(f"the samples have {found} different tokens only", err=True)
    if out is not None:
        write_bytes(out, [csv_bytes(table)], overwrite=overwrite)
    if as_json:
        click.echo(table.to_json(orient="records", double_precision=15))
        return
    click.echo(printed(table.head(rows)))
    if len(table) > rows:
        click.echo(f"... {len(table) - rows} more rows; --rows or --out shows them")
