"""Comparison: wirings, edges and seeds under one recipe at equal budget."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.equal_macs import TOLERANCE, TotalMacs, network_at_budget
from ddw_graph.experiments.groups import check_none_left_out
from ddw_graph.experiments.inference import run_times
from ddw_graph.experiments.runs import PlannedRun, Progress, run_all
from ddw_graph.models import create_model
from ddw_graph.models.backbones import is_backbone
from ddw_graph.nn.edges import edge_settings, edge_text, is_static
from ddw_graph.nn.network import Network
from ddw_graph.training.budget_term import CLOSING_EDGES, check_closing
from ddw_graph.training.data import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.launch import TASKS, settings_for
from ddw_graph.training.loop import check_steps
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run_folder import RunFolder, read_json, write_json

ORIGINAL = "original"
"""The wiring of an entry that is a backbone as its library has it."""


RATES = ("learning_rate", "router_lr")
"""What an entry may have of its own, beside the network, that a map tunes."""


@dataclass(frozen=True)
class Entry:
    """A wiring and a kind of edges, as texts.

    Args:
        wiring: Such as ``ws:k=4,p=0.75``; ``original`` with fixed edges is a backbone
            as it comes.
        edges: Such as ``dynamic``, or ``dynamic:gate=hard``.
        budget: In place of the recipe's; 1 pulls toward every edge open.
        node: What a node of a backbone or Transformer is; by default as for
            ``create_model``.
        learning_rate: In place of the recipe's.
        router_lr: In place of the recipe's.
    """

    wiring: str
    edges: str
    budget: float | None = None
    node: str | None = None
    learning_rate: float | None = None
    router_lr: float | None = None

    @property
    def label(self) -> str:
        """The entry in words."""
        more = {
            "budget": self.budget,
            "node": self.node,
            "learning_rate": self.learning_rate,
            "router_lr": self.router_lr,
        }
        words = [f"{key}={value}" for key, value in more.items() if value is not None]
        return " ".join((self.wiring, self.edges, *words))

    @property
    def untuned(self) -> "Entry":
        """The entry without rates of its own."""
        return replace(self, learning_rate=None, router_lr=None)

    @property
    def folder(self) -> str:
        """The entry as the name of a folder."""
        return re.sub(r"[^A-Za-z0-9.=-]+", "_", self.label)


DEFAULT_ENTRIES = (
    Entry("complete", "dynamic"),
    Entry("er:p=0.2", "learned"),
    Entry("ba:m=5", "learned"),
    Entry("ws:k=4,p=0.75", "learned"),
)
"""DDW, and RandWire with the parameters of the paper's Table 4."""


def entries(
    wirings: Sequence[str],
    kinds: Sequence[str],
    budgets: Sequence[float] = (),
    *,
    dynamic: str = "dynamic",
) -> tuple[Entry, ...]:
    """Returns the grid of wirings and kinds of edges, or the default without either.

    One without the other: all wirings with ``learned`` and ``dynamic`` edges, or the
    kinds on the complete DAG. With budgets, dynamic edges have an entry for each of
    them, edges of other kinds one without; by default ``CLOSING_EDGES``.

    Args:
        wirings: The wirings.
        kinds: The kinds of edges.
        budgets: See ``Entry``.
        dynamic: The dynamic edges where no kinds are given.

    Raises:
        ModelError: If a kind of edges is unknown.
        RunError: If there are budgets, and no dynamic edges.

    Example:
        >>> [entry.label for entry in entries(["vgg", "resnet"], ["fixed"])]
        ['vgg fixed', 'resnet fixed']
        >>> [entry.budget for entry in entries([], ["dynamic:gate=hard"], [0.5, 1.0])]
        [0.5, 1.0]
    """
    if not wirings and not kinds and not budgets:
        return (replace(DEFAULT_ENTRIES[0], edges=dynamic), *DEFAULT_ENTRIES[1:])
    kinds = kinds or ((CLOSING_EDGES,) if budgets else ("learned", dynamic))
    closing = [kind for kind in kinds if not is_static(kind)]
    if budgets and not closing:
        raise RunError(f"a budget needs dynamic edges, got {', '.join(kinds)}")
    return tuple(
        Entry(wiring, kind, budget)
        for wiring in wirings or ("complete",)
        for kind in kinds
        for budget in (budgets if budgets and kind in closing else (None,))
    )


@dataclass(frozen=True)
class Comparison:
    """What is compared, and how.

    The first entry has the channels that were asked for; the width of every other is
    chosen so that its total MACs are within 3 % of the first one's. The width of a
    backbone is its own, and its entries must be as close as ``tolerance`` says.

    Args:
        entries: At least one; differences are to the first.
        seeds: One run an entry for each; runs of one seed are paired.
        recipe: How every run is trained.
        source: Where the images come from.
        model: Name of the network; by default a small one for such data.
        channels: C of the first entry; by default the network's own.
        settings: What else ``create_model`` takes, for every entry, such as ``n``.
        device: Where to train.
        tolerance: How far the total MACs of a backbone's entries may be off, as a
            share.
        execution: How the steps of every run are computed.
        workers: Processes that load the images of each run.
        checkpoint_steps: Steps of an epoch after which each run writes a checkpoint,
            beside the one after each epoch.

    Raises:
        RunError: If there is no entry or no seed, or one is given twice; if steps
            cannot be computed as asked for; if an entry has a budget that is out of
            range, or that its edges cannot keep; or if one that is original has others
            than fixed edges, or no backbone.
    """

    entries: tuple[Entry, ...]
    seeds: tuple[int, ...]
    recipe: Recipe
    source: DataSource
    model: str | None = None
    channels: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    tolerance: float = TOLERANCE
    execution: Execution = Execution()
    workers: int = 0
    checkpoint_steps: int | None = None

    def __post_init__(self) -> None:
        """Checks entries, seeds and steps."""
        check_steps(
            self.recipe,
            TASKS[self.source.task].fewest,
            self.execution.accumulate,
            self.checkpoint_steps,
        )
        for name, values in (
            ("entries", [entry.label for entry in self.entries]),
            ("seeds", list(self.seeds)),
        ):
            if not values or len(set(values)) < len(values):
                raise RunError(
                    f"{name} must be given, and differ from each other, got {values}"
                )

        for entry in self.entries:
            if self.recipe_of(entry).budget is not None:
                check_closing(edge_settings(entry.edges))
            if entry.wiring == ORIGINAL and not (
                entry.edges == "fixed" and is_backbone(self.model or "")
            ):
                raise RunError(
                    "original is a backbone with fixed edges, got "
                    f"{entry.edges} edges of {self.model}"
                )

    @property
    def network_name(self) -> str:
        """Name of the network."""
        return self.model or TASKS[self.source.task].default_model

    def recipe_of(self, entry: Entry) -> Recipe:
        """Returns the recipe with an entry's own values."""
        own = {key: getattr(entry, key) for key in ("budget", *RATES)}
        return replace(
            self.recipe,
            **{key: value for key, value in own.items() if value is not None},
        )

    def as_dict(self) -> dict[str, Any]:
        """Returns what all runs share, ready for JSON.

        Of the entries that is the first, whose cost is the budget: a comparison may
        gain entries and seeds, and each run's own configuration holds its own.
        """
        return {
            "budget": self.entries[0].untuned.label,
            "recipe": self.recipe.as_dict(),
            "model": self.network_name,
            "channels": self.channels,
            "settings": dict(self.settings),
            "execution": self.execution.as_dict(),
        }


@dataclass(frozen=True)
class Task:
    """One run of a comparison.

    Args:
        entry: Its entry.
        run: What is trained.
    """

    entry: Entry
    run: PlannedRun


def run_folder(folder: Path, entry: Entry, seed: int) -> Path:
    """Returns where an entry's run with a seed is, in the folder of a comparison."""
    return folder / "runs" / entry.folder / f"seed-{seed}"


def tasks(comparison: Comparison, data: Any, folder: Path) -> list[Task]:
    """Returns the runs of a comparison, each network at the same total MACs.

    Each seed draws wirings of its own; the first entry's network of the same seed is
    its budget.

    Raises:
        ModelError: If a network cannot be built, or not at this budget.
    """
    made = []
    name = comparison.network_name
    settings = {**settings_for(name, data), **comparison.settings}
    counted = TotalMacs(data.image_size)
    for seed in comparison.seeds:
        budget: int | None = None
        channels = comparison.channels
        for entry in comparison.entries:

            def make(
                channels: float | None, entry: Entry = entry, seed: int = seed
            ) -> Network:
                model: Network = create_model(
                    name,
                    **settings,
                    wiring=None if entry.wiring == ORIGINAL else entry.wiring,
                    edges=entry.edges,
                    node=entry.node,
                    channels=channels,
                    seed=seed,
                )
                return model

            model = make(channels)
            assert model.config is not None
            start = model.config.get("channels")
            if budget is None:
                budget = counted(model)
                channels = start
            else:
                model = network_at_budget(
                    entry.label,
                    model,
                    make,
                    budget,
                    counted=counted,
                    tolerance=comparison.tolerance,
                )
            assert model.config is not None
            run = PlannedRun(
                run_folder(folder, entry, seed),
                model.config,
                comparison.recipe_of(entry),
                comparison.source,
                seed,
                comparison.device,
                comparison.execution,
                comparison.workers,
                comparison.checkpoint_steps,
            )
            made.append(Task(entry, run))
    return made


def start(comparison: Comparison, data: Any, folder: Path) -> None:
    """Makes the folder of a comparison, or checks that it holds the same one.

    Raises:
        RunError: If the folder holds something else.
    """
    shared = comparison.as_dict() | {"data": data.as_dict()}
    RunFolder(folder).start(shared, resume=True)


def run_comparison(
    comparison: Comparison,
    folder: Path,
    *,
    jobs: int | None = None,
    progress: Progress | None = None,
    results: Path | None = None,
) -> list[dict[str, Any]]:
    """Runs what is not finished yet, and returns a row for each run.

    See ``run_all``.

    Args:
        comparison: What to compare.
        folder: A new or empty folder, or that of the same comparison.
        jobs: Processes; see ``run_all``.
        progress: Hears how it goes, about twice a second.
        results: Where ``result.json`` goes, by default the folder: several comparisons
            of the same first entry may share its runs.

    Raises:
        RunError: If the folder holds something else, or a run failed.
    """
    data = comparison.source.load()
    todo = tasks(comparison, data, folder)
    start(comparison, data, folder)
    results = results or folder
    _check_nothing_lost(comparison, results)
    found = run_all([task.run for task in todo], jobs=jobs, progress=progress)
    times = _times(comparison, todo, data)
    rows = []
    for task in todo:
        entry = task.entry
        row = {
            "entry": entry.label,
            "wiring": entry.wiring,
            "edges": edge_text(edge_settings(entry.edges)),
            "budget": entry.budget,
            "seed": task.run.seed,
            "channels": task.run.model.get("channels"),
            **found[task.run.folder],
            "inference_ms": times.get(task.run.folder),
        }
        rows.append(row)
    results.mkdir(parents=True, exist_ok=True)
    write_json(results / "result.json", rows)
    return rows


def _check_nothing_lost(comparison: Comparison, folder: Path) -> None:
    """Checks that a comparison that is there stays whole: its tables are replaced.

    Raises:
        RunError: If the new one leaves out an entry or a seed.
    """
    path = folder / "result.json"
    if not path.exists():
        return
    try:
        there = {(str(row["entry"]), int(row["seed"])) for row in read_json(path)}
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} must hold a comparison's runs, got {error!r}"
        ) from error
    labels = [entry.label for entry in comparison.entries]
    wanted = set(product(labels, comparison.seeds))
    check_none_left_out(folder, there, wanted, what="runs", by="comparison")


def _times(
    comparison: Comparison, todo: Sequence[Task], data: Any
) -> dict[Path, float]:
    """Returns the inference time of the first seed's networks, on one thread."""
    first = [task.run for task in todo if task.run.seed == comparison.seeds[0]]
    runs = [run.folder for run in first]
    return run_times(runs, data, device=comparison.device)
