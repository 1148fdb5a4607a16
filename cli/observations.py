"""The command that tests the paper's observations."""

from pathlib import Path

import click

from ddw_graph.cli.options import JSON_OPTION, RUNS_ARGUMENT
from ddw_graph.cli.tables import printed


@click.command()
@RUNS_ARGUMENT
@click.option(
    "--seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of the orders drawn at random.",
)
@JSON_OPTION
def observations(runs: tuple[Path, ...], seed: int, as_json: bool) -> None:
    """Test the paper's observations (section 4.5) on analyzed RUNs.

    Do front nodes have larger output weights; do the edges of rear nodes, and those of
    deeper stages, vary more over samples? Each is answered with yes, no (the opposite
    is so) or unclear, with the rank correlation, the size of the effect, and the share
    of random orders that show as much.

    \b
    ddw-graph observations runs/ddw
    ddw-graph observations comparison/runs/complete_dynamic/seed-*
    """
    import pandas as pd

    from ddw_graph.analysis.statistics.edges import edge_table
    from ddw_graph.analysis.statistics.observations import (
        observation_summary,
        observation_table,
    )
    from ddw_graph.training.collection import open_collection

    tables = {
        str(run): observation_table(edge_table(open_collection(run)), seed=seed)
        for run in runs
    }
    whole = pd.concat(tables, names=["run"]).reset_index("run")
    if as_json:
        click.echo(whole.to_json(orient="records", double_precision=15))
    elif len(runs) == 1:
        click.echo(printed(whole.drop(columns="run")))
    else:
        click.echo(printed(observation_summary(whole)))
