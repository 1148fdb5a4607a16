"""The command that runs the paper's ablations."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ddw_graph.cli.execution_options import chosen_execution, execution_options
from ddw_graph.cli.options import JSON_OPTION, refuse_options
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
    common_source,
    data_options,
    data_source,
    network_settings,
    numbers,
    recipe_options,
    shape_options,
)

if TYPE_CHECKING:
    from ddw_graph.experiments.groups import Group
    from ddw_graph.training.image_data import ImageData

NAMES = ("edges", "table4", "table6", "fig3", "gates", "instances")
WITH_RUNS = {
    *("name", "runs", "data", "root", "image_size", "download", "device"),
    *("per_class", "holdout", "bad_images", "workers"),
    *("shuffle_seed", "out", "as_json"),
}
"""What has a meaning where the networks are trained already."""


@click.command()
@click.argument("name", type=click.Choice(NAMES))
@click.option(
    "--edges",
    "kinds",
    multiple=True,
    help="Of edges: kinds to compare with fixed ones.  [default: those of the "
    "literature]  Of instances: settings to test beside dynamic, such as "
    "dynamic:bias=0,gate=none.  [default: dynamic:bias=0]  May be given often.",
)
@click.option(
    "--rates",
    callback=numbers,
    help="Of edges: learning rates to choose from, such as 0.001,0.002.  [default: "
    "half, once and twice the recipe's]",
)
@click.option(
    "--router-rates",
    callback=numbers,
    help="Of edges: what --router-lr is chosen from.  [default: 0.01,0.1,1]",
)
@click.option(
    "--trials",
    type=click.Path(path_type=Path),
    help="Of edges: the tuning.csv of another map, whose best rates are taken.",
)
@click.option(
    "--run",
    "runs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="Of instances: a trained run to test, and train nothing; may be given often.",
)
@SEEDS_OPTION
@MODEL_OPTION
@STAGE_N_OPTION
@click.option("--channels", type=float, help="C of complete dynamic.")
@HEAD_OPTION
@shape_options
@data_options(default=f"{DEFAULT_DATA}; with --run the runs' own")
@recipe_options
@execution_options
@DEVICE_OPTION
@WORKERS_OPTION
@CHECKPOINT_STEPS_OPTION
@JOBS_OPTION
@click.option(
    "--shuffle-seed",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Of instances: fixes the shuffles.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("ablations"),
    show_default=True,
    help="Folder: new, empty, or that of other ablations, whose runs are shared.",
)
@JSON_OPTION
def ablate(
    name: str,
    kinds: tuple[str, ...],
    rates: tuple[float, ...],
    router_rates: tuple[float, ...],
    trials: Path | None,
    runs: tuple[Path, ...],
    seeds: int,
    model: str | None,
    recipe: str | None,
    device: str,
    workers: int,
    jobs: int | None,
    shuffle_seed: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Run the map of edges, an ablation, or the test of instances.

    edges: every kind of edges on one network and data, each at the rates that are
    best for it on held-out data; differences to fixed edges, parameters, MACs, time
    and memory of a step.
    table4: DDW against RandWire's generators. table6: fixed, learned and dynamic
    edges, and the original network. fig3: routers that begin with a bias of 3, 0, -3.
    gates: psi, hard, eq5, none. instances: trained networks with each image's own
    wiring, the mean one, and wirings shuffled within the class and over all images.

    Every network has the total MACs of the complete DAG with dynamic edges. Ablations
    with the same --out share their runs; the report is in OUT/NAME.

    \b
    ddw-graph ablate edges --data text --seeds 6 --out map
    ddw-graph ablate table4 --out ablations
    ddw-graph ablate instances --edges dynamic:bias=0,gate=none --out ablations
    ddw-graph ablate instances --run runs/ddw-0 --run runs/ddw-1 --out tested
    """
    from ddw_graph.analysis.ablation_report import (
        ablation_summary,
        ablation_table,
        described,
        write_ablation,
    )
    from ddw_graph.cli.progress import run_bar, tell_written
    from ddw_graph.experiments.ablations import (
        ABLATIONS,
        comparison_of,
        instances,
        run_ablation,
        runs_of,
    )
    from ddw_graph.experiments.edge_map import (
        FACTORS,
        ROUTER_RATES,
        edge_map,
        map_rows,
        read_trials,
        tuned,
        with_best_rates,
    )
    from ddw_graph.experiments.groups import groups
    from ddw_graph.experiments.step_costs import entry_costs
    from ddw_graph.training.launch import TASKS, usable_device
    from ddw_graph.training.run import Run

    context = click.get_current_context()
    if name != "instances":
        refuse_options(context, name, {"runs", "shuffle_seed"})
    if name not in ("edges", "instances"):
        refuse_options(context, name, {"kinds"})
    if name != "edges":
        refuse_options(context, name, {"rates", "router_rates", "trials"})
    if trials is not None:
        refuse_options(context, "--trials", {"rates", "router_rates"})
    place = usable_device(device)
    if runs:
        refuse_options(context, "--run", set(context.params) - WITH_RUNS)
        given = groups(runs)
        _check_same_images(runs)
        data = common_source([Run(runs[0])], options).load()
        _test(given, data, out, shuffle_seed, place, workers, as_json)
        return
    trained, source = chosen_recipe(recipe, options), data_source(options)
    model = model or TASKS[source.task].default_model
    if name == "edges":
        ablation = edge_map(model, kinds)
    elif source.name == "text":
        raise click.UsageError(f"{name} is for images, got --data text")
    else:
        ablation = instances(model, kinds) if kinds else ABLATIONS[name](model)
    comparison = comparison_of(
        ablation,
        tuple(range(seeds)),
        trained,
        source,
        settings=network_settings(options),
        execution=chosen_execution(options),
        model=model,
        device=place,
        workers=workers,
        **options,
    )
    if name == "edges":
        if trials is not None:
            tried: list[Any] = read_trials(trials)
            comparison = with_best_rates(comparison, tried)
        else:
            wanted = rates or tuple(f * trained.learning_rate for f in FACTORS)
            with run_bar(comparison.recipe.epochs) as show:
                comparison, tried = tuned(
                    comparison,
                    wanted,
                    router_rates or ROUTER_RATES,
                    out,
                    jobs=jobs,
                    progress=show,
                )
        ablation = replace(
            ablation, entries=comparison.entries, reference=comparison.entries[0]
        )
    with run_bar(comparison.recipe.epochs) as show:
        rows = run_ablation(ablation, comparison, out, jobs=jobs, progress=show)
    if name == "instances":
        found = runs_of(ablation, comparison, out)
        data = comparison.source.load()
        about = (described(comparison),)
        folder = out / name
        _test(found, data, folder, shuffle_seed, place, workers, as_json, rows, about)
        return
    table = ablation_summary(ablation, rows)
    tables: dict[str, Any] = {}
    if name == "edges":
        table = map_rows(ablation, table, entry_costs(comparison, out))
        tables = {"tuning": tried}
    written = write_ablation(ablation, comparison, rows, table, out, tables)
    if as_json:
        click.echo(json.dumps({"runs": rows, "summary": table}))
    else:
        click.echo(ablation_table(ablation, table))
    tell_written(written)


def _test(
    groups: "Sequence[Group]",
    data: "ImageData",
    folder: Path,
    seed: int,
    device: str,
    workers: int,
    as_json: bool,
    runs: Sequence[dict[str, Any]] = (),
    about: Sequence[str] = (),
) -> None:
    """Tests the wirings of trained networks, writes the report, and prints it."""
    from ddw_graph.analysis.instance_report import instance_table, write_instances
    from ddw_graph.analysis.learning_curves import curves_of
    from ddw_graph.cli.progress import bar, tell_written
    from ddw_graph.experiments.instance_runs import instance_tests
    from ddw_graph.experiments.instance_summary import instance_summary, verdicts

    with bar() as progress:
        task = progress.add_task("runs tested", total=None)
        rows, varied = instance_tests(
            groups,
            data,
            folder,
            seed=seed,
            device=device,
            workers=workers,
            progress=lambda done, of: progress.update(task, completed=done, total=of),
        )
    curves = curves_of(groups) if runs else None
    written = write_instances(
        rows, varied, folder, runs=runs, curves=curves, about=about
    )
    table = instance_summary(rows)
    if as_json:
        told = {"wirings": rows, "variation": varied, "summary": table}
        click.echo(json.dumps({**told, "verdicts": verdicts(table)}))
    else:
        click.echo(instance_table(table))
        for entry, words in verdicts(table).items():
            click.echo(f"{entry}: {words}")
    tell_written(written)


def _check_same_images(runs: Sequence[Path]) -> None:
    """Checks that runs were trained on the same images.

    Raises:
        RunError: If they were not, or one does not say on which.
    """
    from ddw_graph.errors import RunError
    from ddw_graph.training.run import Run

    for run in runs:
        if Run(run).config.get("task") != "classification":
            raise RunError(f"runs must be of images, got {run}")
    first = Run(runs[0]).config["data"]
    for run in runs[1:]:
        if Run(run).config["data"] != first:
            raise RunError(
                "runs that are tested together must be of the same images, got others "
                f"in {run} than in {runs[0]}"
            )
