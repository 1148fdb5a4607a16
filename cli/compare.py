"""The command that compares wirings and kinds of edges."""

import json
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.execution_options import chosen_execution, execution_options
from ddw_graph.cli.options import JSON_OPTION
from ddw_graph.cli.training_options import (
    CHECKPOINT_STEPS_OPTION,
    DEFAULT_DATA,
    DEVICE_OPTION,
    HEAD_OPTION,
    JOBS_OPTION,
    MODEL_OPTION,
    SEEDS_OPTION,
    STAGE_N_OPTION,
    WORKERS_OPTION,
    chosen_recipe,
    data_options,
    data_source,
    network_settings,
    numbers,
    recipe_options,
    shape_options,
)


@click.command()
@click.option(
    "--wiring",
    "wirings",
    multiple=True,
    help="Such as ws:k=4,p=0.75; may be given often.",
)
@click.option(
    "--edges",
    "kinds",
    multiple=True,
    help="Such as learned or dynamic:gate=hard; may be given often.",
)
@click.option(
    "--budget",
    "budgets",
    callback=numbers,
    help="Shares of the MACs, such as 0.5,0.7,1.0: an entry with dynamic edges for "
    "each.",
)
@SEEDS_OPTION
@MODEL_OPTION
@STAGE_N_OPTION
@click.option("--channels", type=float, help="C of the first entry.")
@click.option("--output", type=click.Choice(["sum", "mean"]), help="For all entries.")
@HEAD_OPTION
@shape_options
@data_options(default=DEFAULT_DATA)
@recipe_options
@execution_options
@DEVICE_OPTION
@WORKERS_OPTION
@CHECKPOINT_STEPS_OPTION
@JOBS_OPTION
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("comparison"),
    show_default=True,
    help="Folder: new, empty, or that of the same comparison, which then goes on.",
)
@JSON_OPTION
def compare(
    wirings: tuple[str, ...],
    kinds: tuple[str, ...],
    budgets: tuple[float, ...],
    seeds: int,
    recipe: str | None,
    device: str,
    jobs: int | None,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Train wirings and edges beside each other at equal budget.

    Every --wiring with every --edges; without either, DDW (complete, dynamic) and
    RandWire's ER, BA and WS (learned). The first entry sets the budget: the width of
    every other is chosen so that total MACs are within 3 %. Differences are to the
    first entry, paired by seed.

    With --budget, dynamic edges (by default dynamic:gate=hard,bias=1.5,threshold=0.5
    on the complete DAG) are trained toward each share of the same dense MACs; expected
    MACs and measured time are told apart, and drawn in budget.png.

    \b
    ddw-graph compare --out comparison
    ddw-graph compare --wiring complete --edges fixed --edges learned --edges dynamic
    ddw-graph compare --data text --edges fixed --edges attention --out texts
    ddw-graph compare --budget 1.0,0.7,0.5 --router-lr 3 --out budgets
    """
    from ddw_graph.analysis.report import markdown_summary, write_report
    from ddw_graph.cli.progress import run_bar, tell_written
    from ddw_graph.experiments.compare import Comparison, entries, run_comparison
    from ddw_graph.experiments.summary import summary
    from ddw_graph.models.transformers import CAUSAL_EDGES
    from ddw_graph.training.launch import usable_device

    trained = chosen_recipe(recipe, options, budgets=bool(budgets))
    source = data_source(options)
    dynamic = CAUSAL_EDGES if source.name == "text" else "dynamic"
    comparison = Comparison(
        entries(wirings, kinds, budgets, dynamic=dynamic),
        tuple(range(seeds)),
        trained,
        source,
        settings=network_settings(options),
        execution=chosen_execution(options),
        device=usable_device(device),
        **options,
    )
    with run_bar(comparison.recipe.epochs) as show:
        rows = run_comparison(comparison, out, jobs=jobs, progress=show)
    written = write_report(comparison, rows, out)
    if as_json:
        click.echo(json.dumps({"runs": rows, "summary": summary(rows)}))
    else:
        click.echo(markdown_summary(summary(rows)))
    tell_written(written)
