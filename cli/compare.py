"""The command that compares wirings and kinds of edges."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from ddw_graph.cli.experiment import (
    Runner,
    given_settings,
    run_and_report,
    runner_options,
)
from ddw_graph.cli.options import WIRING
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


@click.command(cls=SettingsCommand)
@section(
    "Entries",
    click.option(
        "--wiring",
        multiple=True,
        type=WIRING,
        help="Such as ws:k=4,p=0.75; may be repeated.",
    ),
    click.option(
        "--edges",
        multiple=True,
        help="Such as learned or dynamic:gate=hard; may be repeated.",
    ),
    setting_option(
        Setting(
            "budget",
            float,
            "Shares of the MACs, such as 0.5,0.7,1.0: an entry with dynamic edges for "
            "each.",
            "(0, 1]",
            many=True,
        )
    ),
    SEEDS_OPTION,
)
@section("Network", MODEL_OPTION, *SIZE_OPTIONS)
@data_options
@recipe_options(without=OF_ENTRIES)
@runner_options("comparison")
def compare(
    wiring: tuple[str, ...],
    edges: tuple[str, ...],
    budget: tuple[float, ...] | None,
    seeds: int,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Train wirings and edges at an equal budget, and compare them.

    Every --wiring with every --edges; without either, DDW (complete, dynamic) and
    RandWire's ER, BA and WS (learned). The first entry sets the budget: the width of
    every other is chosen so that total MACs are within 3 %. Differences are to the
    first entry, paired by seed.

    With --budget, dynamic edges (by default dynamic:gate=hard,bias=1.5,threshold=0.5
    on the complete DAG) are trained toward each share of the same dense MACs; expected
    MACs and measured time are drawn in budget.png.

    \b
    ddw-graph compare --out comparison
    ddw-graph compare --wiring complete --edges fixed --edges learned --edges dynamic
    ddw-graph compare --data text --edges fixed --edges attention --out texts
    ddw-graph compare --budget 1.0,0.7,0.5 --router-lr 3 --out budgets
    """
    from ddw_graph.experiments.spec import spec_of
    from ddw_graph.models.transformers import CAUSAL_EDGES

    dynamic = CAUSAL_EDGES if options["data"] == "text" else "dynamic"
    spec = spec_of(
        {
            "title": "Comparison",
            "equal_macs": True,
            "fixed": given_settings(),
            "entries": entries(wiring, edges, budget or (), dynamic=dynamic),
            "axes": {"seed": [*range(seeds)]},
        }
    )
    run_and_report(spec, Runner(options), out, as_json=as_json)


def entries(
    wirings: Sequence[str],
    kinds: Sequence[str],
    budgets: Sequence[float],
    *,
    dynamic: str,
) -> list[dict[str, Any]]:
    """Returns the grid of wirings and kinds of edges, or the default without either.

    Wirings without kinds have ``learned`` and dynamic edges each; kinds without wirings
    are on the complete DAG. With budgets, dynamic edges have an entry for each of them,
    by default ``CLOSING_EDGES``, and edges of other kinds one without.

    Args:
        dynamic: The dynamic edges where no kinds are given.
    """
    from ddw_graph.nn.edges import is_static
    from ddw_graph.training.budget_term import CLOSING_EDGES

    if not wirings and not kinds and not budgets:
        return [
            {"wiring": "complete", "edges": dynamic},
            *(
                {"wiring": wiring, "edges": "learned"}
                for wiring in ("er:p=0.2", "ba:m=5", "ws:k=4,p=0.75")
            ),
        ]
    kinds = kinds or ((CLOSING_EDGES,) if budgets else ("learned", dynamic))
    closing = [kind for kind in kinds if not is_static(kind)]
    if budgets and not closing:
        raise click.UsageError(f"--budget needs dynamic edges, got {', '.join(kinds)}")
    return [
        {
            "wiring": wiring,
            "edges": kind,
            **({} if budget is None else {"budget": budget}),
        }
        for wiring in wirings or ("complete",)
        for kind in kinds
        for budget in (budgets if budgets and kind in closing else (None,))
    ]
