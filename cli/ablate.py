"""The command that runs the paper's ablations and the map of kinds of edges."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ddw_graph.cli.experiment import (
    Runner,
    given_settings,
    run_and_report,
    runner_options,
)
from ddw_graph.cli.options import PATH, refuse_options
from ddw_graph.cli.setting_options import SettingsCommand, section, setting_option
from ddw_graph.cli.training_options import (
    MODEL_OPTION,
    OF_ENTRIES,
    SEEDS_OPTION,
    SIZE_OPTIONS,
    data_options,
    recipe_options,
)
from ddw_graph.settings import Setting

if TYPE_CHECKING:
    from ddw_graph.experiments.spec import Spec

PLANS = ("table4", "table6", "fig3", "gates")
"""The plans in ``ddw_graph/experiments/plans``."""

OF_MAP = {"edges", "rates", "router_rates", "trials"}

PAPER_NAMES = {
    "resnet18": "ResNet-18",
    "resnet50": "ResNet-50",
    "resnet101": "ResNet-101",
    "mobilenet_v2": "MobileNetV2-1.0",
}
"""The networks of Table 6 under the paper's names."""


@click.command(cls=SettingsCommand)
@click.argument("name", type=click.Choice(["edges", *PLANS]))
@section(
    "Map of edges",
    click.option(
        "--edges",
        multiple=True,
        help="A kind to compare with fixed ones; may be repeated.  [default: those of "
        "the literature]",
    ),
    setting_option(
        Setting(
            "rates",
            float,
            "Learning rates to choose from, such as 0.001,0.002.",
            "(0, 1e30]",
            many=True,
        ),
        shown="half, once and twice the recipe's",
    ),
    setting_option(
        Setting(
            "router_rates",
            float,
            "What --router-lr is chosen from.",
            "[0, 1e30]",
            many=True,
        ),
        default="0.01,0.1,1",
    ),
    click.option(
        "--trials",
        type=PATH,
        help="The tuning.csv of another map, whose best rates are taken.",
    ),
)
@section("Network", MODEL_OPTION, *SIZE_OPTIONS, SEEDS_OPTION)
@data_options
@recipe_options(without=OF_ENTRIES)
@runner_options("ablations")
def ablate(
    name: str,
    edges: tuple[str, ...],
    rates: tuple[float, ...] | None,
    router_rates: tuple[float, ...],
    trials: Path | None,
    seeds: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Run one of the paper's ablations, or the map of kinds of edges.

    edges: every kind of edges on one network and data, each at the rates that are best
    for it on held-out data; differences to fixed edges, parameters, MACs, time and
    memory of a step.
    table4: DDW against RandWire's generators. table6: fixed, learned and dynamic
    edges, and the original network. fig3: routers that begin with a bias of 3, 0, -3.
    gates: psi, hard, eq5, none.

    Every network has the total MACs of the first entry. The report is in OUT/NAME; of
    edges, OUT is map by default. The others share their runs in the same OUT.

    \b
    ddw-graph ablate edges --data text --seeds 6 --out map
    ddw-graph ablate table4 --out ablations
    """
    from ddw_graph.experiments.axes import Choices
    from ddw_graph.experiments.edge_map import FACTORS, edge_map
    from ddw_graph.experiments.settings import recipe
    from ddw_graph.experiments.spec import Spec
    from ddw_graph.training.launch import TASKS

    context = click.get_current_context()
    if name != "edges":
        refuse_options(context, name, OF_MAP)
    if trials is not None:
        refuse_options(context, "--trials", {"rates", "router_rates"})
    runner = Runner(options)
    text = options["data"] == "text"
    if text and name != "edges":
        raise click.UsageError(f"{name} is for images, got --data text")
    task = TASKS["language" if text else "classification"]
    model = options["model"] or task.default_model
    fixed = given_settings()
    axes = {"seed": Choices(tuple(range(seeds)))}
    if name != "edges":
        spec = _of_paper(name, model)
        spec = replace(spec, fixed={**spec.fixed, **fixed}, axes=axes)
        run_and_report(spec, runner, out, part=name, as_json=as_json)
        return
    if context.get_parameter_source("out") is ParameterSource.DEFAULT:
        out = Path("map")
    if "router_lr" in fixed:
        raise click.UsageError("edges choose --router-lr, from --router-rates")
    base = fixed.pop("learning_rate", None)
    spec = Spec(
        axes,
        fixed,
        edge_map(model, edges),
        equal_macs=True,
        title="What edge weights are worth: each kind at its own rates",
    )
    usual = base or recipe(fixed).learning_rate
    rates = rates or tuple(factor * usual for factor in FACTORS)
    spec, tables = _tuned(spec, runner, out, rates, router_rates, trials)
    # Beside its trials; with rates of their own, its runs are no other ablation's.
    run_and_report(spec, runner, out / name, steps=True, tables=tables, as_json=as_json)


def _of_paper(name: str, model: str) -> "Spec":
    """Returns an ablation, with the paper's figures of one network if it has them."""
    import ddw_graph.experiments
    from ddw_graph.experiments.spec import read_spec

    (folder,) = ddw_graph.experiments.__path__
    spec = read_spec(Path(folder) / "plans" / f"{name}.toml")
    known = PAPER_NAMES.get(model)
    if not any(known in entry.paper for entry in spec.entries):
        return spec
    entries = tuple(
        replace(entry, paper={k: v for k, v in entry.paper.items() if k == known})
        for entry in spec.entries
    )
    return replace(spec, entries=entries)


def _tuned(
    spec: "Spec",
    runner: Runner,
    out: Path,
    rates: Sequence[float],
    router_rates: Sequence[float],
    trials: Path | None,
) -> tuple["Spec", dict[str, Sequence[Mapping[str, Any]]]]:
    """Returns a map with the rates of its entries, and the table of its trials."""
    from ddw_graph.experiments.edge_map import read_trials, tuned, with_best_rates
    from ddw_graph.experiments.folder import ExperimentFolder
    from ddw_graph.experiments.table import table

    if trials is not None:
        found = read_trials(trials)
        return with_best_rates(spec, found), {"tuning": found}

    def run(trial: "Spec") -> list[dict[str, Any]]:
        runner.run(runner.plan(trial), out / "tuning")
        return table(ExperimentFolder(out / "tuning"))

    chosen, tried = tuned(spec, runner.plan(spec).data, rates, router_rates, run)
    return chosen, {"tuning": tried}
