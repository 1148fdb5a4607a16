"""A map of kinds of edges: each at its own rates, on one network and data."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError, reason_of
from ddw_graph.experiments.axes import Choices
from ddw_graph.experiments.plan import label
from ddw_graph.experiments.spec import Entry, Spec
from ddw_graph.experiments.summary import ACCURACY, metric_of
from ddw_graph.models.transformers import GPT, VIT

ROUTED = "dynamic:bias=0,gate=none,norm=rms"
"""Routers that read normalised features, open by half from the start, without a gate;
with a neutral start each edge weighs a scale times twice the sigmoid."""


def _entry(edges: str, name: str = "", **settings: Any) -> Entry:
    return Entry({"wiring": "complete", "edges": edges, **settings}, name)


FIXED = _entry("fixed", "residual network")
"""What differences are to: of a Transformer the usual one."""

SHARED = (
    _entry("learned", "RandWire", wiring="ws:k=4,p=0.75"),
    _entry("learned"),
    _entry("learned:form=free"),
    _entry("dynamic:per=position", "DDW by position"),
    _entry(f"{ROUTED},per=position"),
    _entry("attention", "Attention Residuals"),
)
BY_SAMPLE = (_entry("dynamic", "DDW"), _entry(ROUTED))
STREAMS = (
    _entry("learned:form=free", "Hyper-Connections, static", wiring="streams:width=4"),
    _entry("sinkhorn", "mHC, static", wiring="streams:width=4"),
)
OF_BLOCKS = (
    _entry("learned:form=free", "DenseFormer", node="block"),
    _entry("receiver", "MUDD, one stream", node="block"),
)

RATES = ("learning_rate", "router_lr")
"""The settings that each entry chooses."""

TUNING_SEED = 1000
"""The seed of the runs that choose rates, none of those that are compared."""

FACTORS = (0.5, 1.0, 2.0)
"""Learning rates to choose from, in multiples of the recipe's."""


def edge_map(model: str, edges: Sequence[str] = ()) -> tuple[Entry, ...]:
    """Returns the entries of a map of kinds of edges, fixed edges first.

    Args:
        edges: The kinds beside fixed edges, all on the complete DAG; by default those
            of the literature that the network can have.
    """
    language, transformer = model in GPT, model in GPT or model in VIT
    entries = tuple(map(_entry, edges)) or (
        *SHARED[:3],
        *(() if language else BY_SAMPLE),
        *SHARED[3:],
        *((*OF_BLOCKS, *STREAMS) if transformer else (_entry("receiver"),)),
    )
    own = [entry for entry in entries if entry.settings != FIXED.settings]
    return (replace(FIXED, reference=True), *own)


def tuned(
    spec: Spec,
    data: Any,
    rates: Sequence[float],
    router_rates: Sequence[float],
    run: Callable[[Spec], Sequence[Mapping[str, Any]]],
) -> tuple[Spec, list[dict[str, Any]]]:
    """Returns an experiment with the best rates of each entry, and the trials.

    Each entry is trained once at each rate, with a seed of its own, on the training
    data less a part that is held out: as much as the test data, or a fifth of the
    training data where that is less. The test data are not read. At the middle learning
    rate each entry first chooses the rate of its edge weights (``router_lr``), unless
    they are fixed; with that, its learning rate.

    Args:
        spec: The experiment; its entries have no rates yet.
        router_rates: What ``router_lr`` is chosen from.
        run: Runs the trials, and returns a row for each run.

    Raises:
        RunError: If there are no rates, the data have a holdout, or a run failed.
    """
    if "holdout" in spec.fixed:
        raise RunError(
            "a map holds out a part of the training data itself, got holdout="
            f"{spec.fixed['holdout']}; leave it out"
        )
    for values in (rates, router_rates):
        if not values or len(set(values)) < len(values):
            raise RunError(f"rates must be given, and differ, got {[*values]}")
    most = min(len(data.test), len(data.train) // 5)
    holdout = most - most % max(1, len(data.classes))

    def tried(entries: Sequence[Entry]) -> list[dict[str, Any]]:
        each = {label(entry.settings): entry for entry in entries}
        trials = replace(
            spec,
            entries=tuple(each.values()),
            axes={"seed": Choices((TUNING_SEED,))},
            fixed={**spec.fixed, "holdout": holdout},
        )
        found = {row["entry"]: row for row in run(trials)}
        lost = [name for name in each if name not in found]
        if lost:
            raise RunError(f"every trial must have a result, got none of {lost[0]}")
        return [
            {
                **found[name],
                "entry": label(_untuned(entry)),
                **{key: entry.settings.get(key) for key in RATES},
            }
            for name, entry in each.items()
        ]

    middle = sorted(rates)[len(rates) // 2]
    first: list[Entry] = []
    for entry in spec.entries:
        some = [] if entry.settings["edges"] == "fixed" else router_rates
        choices: list[dict[str, Any]] = [{"router_lr": value} for value in some]
        first += [_with(entry, learning_rate=middle, **c) for c in choices or [{}]]
    best = with_best_rates(spec, tried(first)).entries
    second = [_with(entry, learning_rate=rate) for entry in best for rate in rates]
    rows = tried([*first, *second])
    return with_best_rates(spec, rows), rows


def _with(entry: Entry, **settings: Any) -> Entry:
    return replace(entry, settings={**entry.settings, **settings})


def _untuned(entry: Entry) -> dict[str, Any]:
    return {key: value for key, value in entry.settings.items() if key not in RATES}


def with_best_rates(spec: Spec, trials: Sequence[Mapping[str, Any]]) -> Spec:
    """Returns an experiment with the rates of each entry's best trial.

    Args:
        spec: The experiment; its entries have no rates yet.
        trials: The rows that ``tuned`` returned, such as those of shorter runs.

    Raises:
        RunError: If an entry has no trial.
    """
    metric = metric_of(trials)
    sign = 1 if metric is ACCURACY else -1
    chosen = []
    for entry in spec.entries:
        name = label(entry.settings)
        rows = [row for row in trials if row["entry"] == name]
        if not rows:
            raise RunError(f"trials must have each entry, got none of {name}")
        best = max(rows, key=lambda row: sign * float(row[metric.key]))
        rates = {key: float(best[key]) for key in RATES if best[key]}
        chosen.append(_with(entry, **rates))
    return replace(spec, entries=tuple(chosen))


def read_trials(path: Path) -> list[dict[str, str]]:
    """Returns the rows of the ``tuning.csv`` of a map.

    Raises:
        RunError: If the file holds no trials.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        key = metric_of(rows).key
        for row in rows:
            _ = row["entry"]
            list(map(float, (row[key], row["learning_rate"], row["router_lr"] or 1)))
    except (OSError, LookupError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{path} must be the tuning.csv of a map, got {reason_of(error)}"
        ) from error
    return rows
