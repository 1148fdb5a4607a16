"""The command that tests the paper's observations."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ddw_graph.cli.options import JSON_OPTION, RUNS_ARGUMENT
from ddw_graph.cli.tables import printed

if TYPE_CHECKING:
    from ddw_graph.training.collection import Collection


@click.command()
@RUNS_ARGUMENT
@JSON_OPTION
def observations(runs: tuple[Path, ...], as_json: bool) -> None:
    """Test the paper's observations (section 4.5) on finished RUNs.

    Do front nodes have larger output weights; do the edges of rear nodes, and those of
    deeper stages, vary more over the test images? Each RUN is compared with its network
    before training. The answer is yes, no (the opposite) or no significant effect; an
    effect of less than 5 % of the mean over all weighted edges is not significant.

    \b
    ddw-graph observations runs/ddw
    ddw-graph observations comparison/runs/complete_dynamic/seed-*
    """
    import pandas as pd

    from ddw_graph.analysis.statistics.observations import (
        observation_summary,
        observations,
    )

    tables = {str(run): observations(*_collections(run)) for run in runs}
    whole = pd.concat(tables, names=["run"]).reset_index("run")
    if as_json:
        click.echo(whole.to_json(orient="records", double_precision=15))
    elif len(runs) == 1:
        click.echo(printed(whole.drop(columns="run")))
    else:
        click.echo(printed(observation_summary(whole)))


def _collections(path: Path) -> "tuple[Collection, Collection]":
    """Returns the weights of a run's network, and of the same before training."""
    import torch

    from ddw_graph.analysis.collect import collect
    from ddw_graph.models import from_config
    from ddw_graph.training.run import Run

    run = Run(path)
    trained, data = run.analysis, run.data()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(run.seed)
        network = from_config(run.model_config)
    return trained, collect(network, data.inputs("test", network), classes=data.classes)
