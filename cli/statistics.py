"""The command that prints tables of an analysis."""

from pathlib import Path

import click

from ddw_graph.cli.options import JSON_OPTION, OVERWRITE_OPTION
from ddw_graph.cli.tables import printed

WHAT = {
    "edges": "mean, deviation and openness of each edge",
    "stages": "the weighted edges of each stage together",
    "classes": "mean and deviation of each edge in each class",
    "class-share": "the part of an edge's variance that lies between classes",
    "class-distances": "how far apart the mean wirings of two classes are",
    "depths": "edges by the depth of their source and target",
    "sources": "edges by their source",
    "targets": "edges by their target",
    "distances": "edges by the number of their target less that of their source",
    "positions": "weights at each position, of the samples of --positions",
    "tokens": "weights at the commonest tokens, of the samples of --positions",
    "information": "entropy of an edge's state, and its information on the class",
    "paths": "of each sample: open paths, effective depth, the dominant path",
    "dominant": "how many samples have the same dominant path",
    "unusual": "the samples whose wirings are the furthest from their class's",
    "clusters": "kinds of wirings, and the classes that they hold",
    "difficulty": "a wiring's cost, depth and unusualness against the loss",
    "loss-groups": "the same in groups from the least to the largest loss",
}


OF_ALL_EDGES = {"edges", "paths", "dominant", "difficulty", "loss-groups"}
"""Tables that include constant edges."""


@click.command(
    epilog="\b\n" + "\n".join(f"{name:<16} {words}" for name, words in WHAT.items())
)
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--what", type=click.Choice(list(WHAT)), default="stages", show_default=True
)
@click.option(
    "--levels",
    type=int,
    default=8,
    show_default=True,
    help="Of information: levels of an open edge.",
)
@click.option(
    "--clusters", type=int, default=10, show_default=True, help="How many clusters."
)
@click.option(
    "--groups", type=int, default=10, show_default=True, help="How many loss-groups."
)
@click.option(
    "--by",
    type=click.Choice(["edge", "source", "target", "distance", "stage"]),
    default="distance",
    show_default=True,
    help="Of positions and tokens: a row for which edges.",
)
@click.option(
    "--tokens", type=int, default=20, show_default=True, help="How many tokens."
)
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Where clusters begin.",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="How many to print; files and JSON have all.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write a CSV file too.")
@OVERWRITE_OPTION
@JSON_OPTION
def statistics(
    run: Path,
    what: str,
    levels: int,
    clusters: int,
    groups: int,
    by: str,
    tokens: int,
    seed: int,
    rows: int,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Print tables of the wirings of an analyzed RUN.

    RUN is a finished run, or the folder of an analysis. Constant edges are left out,
    except in the table of edges, which names them, and in those of paths.

    \b
    ddw-graph statistics runs/ddw --what information
    ddw-graph statistics runs/ddw --what paths --out paths.csv
    ddw-graph statistics runs/ddw --what positions --by edge
    """
    from ddw_graph.analysis.statistics.edges import check_weighted
    from ddw_graph.analysis.statistics.tables import TABLES
    from ddw_graph.atomic import write_bytes
    from ddw_graph.training.collection import open_collection

    settings: dict[str, dict[str, int | str]] = {
        "information": {"levels": levels},
        "clusters": {"clusters": clusters, "seed": seed},
        "loss-groups": {"groups": groups},
        "positions": {"by": by},
        "tokens": {"by": by, "count": tokens},
    }
    collection = open_collection(run)
    if what not in OF_ALL_EDGES:
        check_weighted(collection, str(run))
    table = TABLES[what](collection, **settings.get(what, {}))
    if out is not None:
        written = table.to_csv(index=False).encode()
        write_bytes(out, [written], overwrite=overwrite)
    if as_json:
        click.echo(table.to_json(orient="records", double_precision=15))
        return
    click.echo(printed(table.head(rows)))
    if len(table) > rows:
        click.echo(f"... {len(table) - rows} more rows; --rows or --out shows them")
