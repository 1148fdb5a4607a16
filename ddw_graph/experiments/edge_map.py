"""A map of kinds of edges: each at its own rates, on one network and data."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError, reason_of
from ddw_graph.experiments.ablations import Ablation
from ddw_graph.experiments.compare import (
    RATES,
    Comparison,
    Entry,
    run_comparison,
    start,
)
from ddw_graph.experiments.runs import Progress
from ddw_graph.experiments.summary import ACCURACY, metric_of
from ddw_graph.models.transformers import GPT, VIT

FIXED = Entry("complete", "fixed")
"""What differences are to: of a Transformer the usual one."""

ROUTED = "dynamic:bias=0,gate=none,norm=rms"
"""Routers that read normalised features, open by half from the start, without a gate;
with a neutral start each edge weighs a scale times twice the sigmoid."""

SHARED = (
    Entry("ws:k=4,p=0.75", "learned"),
    Entry("complete", "learned"),
    Entry("complete", "learned:form=free"),
    Entry("complete", "dynamic:per=position"),
    Entry("complete", f"{ROUTED},per=position"),
    Entry("complete", "attention"),
)
BY_SAMPLE = (Entry("complete", "dynamic"), Entry("complete", ROUTED))
STREAMS = (
    Entry("streams:width=4", "learned:form=free"),
    Entry("streams:width=4", "sinkhorn"),
)
OF_BLOCKS = (
    Entry("complete", "learned:form=free", node="block"),
    Entry("complete", "receiver", node="block"),
)
NAMES = {
    FIXED: "residual network",
    SHARED[0]: "RandWire",
    SHARED[3]: "DDW by position",
    BY_SAMPLE[0]: "DDW",
    SHARED[5]: "Attention Residuals",
    STREAMS[0]: "Hyper-Connections, static",
    STREAMS[1]: "mHC, static",
    OF_BLOCKS[0]: "DenseFormer",
    OF_BLOCKS[1]: "MUDD, one stream",
}
"""Entries under the name of the paper whose wiring and edges they are."""

TUNING_SEED = 1000
"""The seed of the runs that choose rates, none of those that are compared."""

FACTORS = (0.5, 1.0, 2.0)
"""Learning rates to choose from, in multiples of the recipe's."""

ROUTER_RATES = (0.01, 0.1, 1.0)
"""Rates of the edge weights to choose from, in multiples of the learning rate."""


def edge_map(model: str, edges: Sequence[str] = ()) -> Ablation:
    """Returns the map of kinds of edges for a network.

    Args:
        model: The network's name.
        edges: The kinds beside fixed edges, all on the complete DAG; by default those
            of the literature that the network can have.
    """
    language, transformer = model in GPT, model in GPT or model in VIT
    entries = tuple(Entry("complete", kind) for kind in edges) or (
        *SHARED[:3],
        *(() if language else BY_SAMPLE),
        *SHARED[3:],
        *((*OF_BLOCKS, *STREAMS) if transformer else (Entry("complete", "receiver"),)),
    )
    return Ablation(
        "edges",
        "What edge weights are worth: each kind at its own learning rates",
        tuple(dict.fromkeys((FIXED, *entries))),
        FIXED,
    )


def tuned(
    comparison: Comparison,
    rates: Sequence[float],
    router_rates: Sequence[float],
    folder: Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
) -> tuple[Comparison, list[dict[str, Any]]]:
    """Returns a comparison with the best rates of each entry, and the trials.

    Each entry is trained once at each rate, with a seed of its own, on the training
    data less a part that is held out: as much as the test data, or a fifth of the
    training data where that is less. The test data are not read. At the middle learning
    rate each entry first chooses the rate of its edge weights (``router_lr``), unless
    they are fixed; with that, its learning rate.

    Args:
        comparison: Its entries have no rates yet.
        rates: The learning rates to choose from.
        router_rates: What ``router_lr`` is chosen from.
        folder: The comparison's folder; the trials go to ``tuning`` in it.
        jobs: Processes; see ``run_all``.
        progress: Called about twice a second.

    Raises:
        RunError: If there are no rates, the source has a holdout, or a run failed.
    """
    if comparison.source.holdout is not None:
        raise RunError(
            "a map holds out a part of the training data itself, got holdout="
            f"{comparison.source.holdout}; leave it out"
        )
    for values in (rates, router_rates):
        if not values or len(set(values)) < len(values):
            raise RunError(f"rates must be given, and differ, got {[*values]}")
    data = comparison.source.load()
    start(comparison, data, folder)
    most = min(len(data.test), len(data.train) // 5)
    source = replace(comparison.source, holdout=most - most % max(1, len(data.classes)))

    def tried(entries: Sequence[Entry]) -> list[dict[str, Any]]:
        unique = tuple(dict.fromkeys(entries))
        trials = replace(
            comparison, entries=unique, seeds=(TUNING_SEED,), source=source
        )
        rows = run_comparison(trials, folder / "tuning", jobs=jobs, progress=progress)
        return [
            {**row, "entry": entry.untuned.label, **rates_of(entry)}
            for entry, row in zip(unique, rows, strict=True)
        ]

    middle = sorted(rates)[len(rates) // 2]
    first = [
        replace(entry, learning_rate=middle, router_lr=router_rate)
        for entry in comparison.entries
        for router_rate in ((None,) if entry.edges == "fixed" else router_rates)
    ]
    best = with_best_rates(comparison, tried(first)).entries
    second = [replace(entry, learning_rate=rate) for entry in best for rate in rates]
    rows = tried([*first, *second])
    return with_best_rates(comparison, rows), rows


def rates_of(entry: Entry) -> dict[str, float | None]:
    """Returns the rates of an entry, as columns."""
    return {key: getattr(entry, key) for key in RATES}


def with_best_rates(
    comparison: Comparison, trials: Sequence[Mapping[str, Any]]
) -> Comparison:
    """Returns a comparison with the rates of each entry's best trial.

    Args:
        comparison: Its entries have no rates yet.
        trials: The rows that ``tuned`` returned, such as those of shorter runs.

    Raises:
        RunError: If an entry has no trial.
    """
    metric = metric_of(trials)
    sign = 1 if metric is ACCURACY else -1
    chosen = []
    for entry in comparison.entries:
        rows = [row for row in trials if row["entry"] == entry.label]
        if not rows:
            raise RunError(f"trials must have each entry, got none of {entry.label}")
        best = max(rows, key=lambda row: sign * float(row[metric.key]))
        found: dict[str, Any] = {key: float(best[key]) for key in RATES if best[key]}
        chosen.append(replace(entry, **found))
    return replace(comparison, entries=tuple(chosen))


def read_trials(path: Path) -> list[dict[str, str]]:
    """Returns the rows of the ``tuning.csv`` of a map.

    Raises:
        RunError: If the file holds no trials.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        if not rows:
            raise ValueError("no row")
        for row in rows:
            _ = row["entry"]
            for value in (
                row[metric_of(rows).key],
                row["learning_rate"],
                row["router_lr"] or 1,
            ):
                float(value)
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} must be the tuning.csv of a map, got {reason_of(error)}"
        ) from error
    return rows


def name_of(entry: Entry) -> str:
    """Returns the name of the paper whose wiring and edges an entry has, or none."""
    return NAMES.get(entry.untuned, "")


def map_rows(
    ablation: Ablation,
    table: Sequence[Mapping[str, Any]],
    costs: Mapping[str, Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """Returns the rows of a summary with each entry's name, rates and cost of a step.

    Args:
        ablation: The map, its entries with rates.
        table: A row for each entry.
        costs: What ``entry_costs`` returned.
    """
    entries = {entry.label: entry for entry in ablation.entries}
    return [
        {
            "name": name_of(entries[row["entry"]]),
            **rates_of(entries[row["entry"]]),
            **row,
            **costs[row["entry"]],
        }
        for row in table
    ]
