"""From the description of an experiment to planned runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from ddw_graph.errors import RunError, UserError
from ddw_graph.experiments.axes import Chance, Choices, Point, Value, drawn, ends, grid
from ddw_graph.experiments.equal_macs import TotalMacs, network_at_budget
from ddw_graph.experiments.planned_run import PlannedRun
from ddw_graph.experiments.settings import (
    data_source,
    execution,
    network,
    recipe,
    seed,
)
from ddw_graph.experiments.spec import Entry, Spec
from ddw_graph.training.launch import TASKS
from ddw_graph.training.loop import check_steps
from ddw_graph.training.network_settings import NETWORK_SETTINGS

LONGEST_NAME = 120
"""Characters of a run's name; file systems take 255."""


@dataclass(frozen=True)
class Plan:
    """An experiment with its data: it turns points into runs.

    Args:
        spec: The experiment.
        data: The images or the text.
    """

    spec: Spec
    data: Any
    _budgets: dict[int, int] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def _counted(self) -> TotalMacs:
        # Of a text, windows are as long as the network's context.
        return TotalMacs(self.data.network_settings().get("image_size", 0))

    @property
    def first(self) -> Point:
        """The point of the first entry and the first value of each axis."""
        entries = self.spec.entries
        return {**(entries[0].settings if entries else {}), **ends(self.spec.axes)[0]}

    def budget(self, settings: Mapping[str, Value]) -> int:
        """Returns the total MACs of the first network of the seed of some settings."""
        own = seed(settings)
        if own not in self._budgets:
            model = network(self.settings({**self.first, "seed": own}), self.data)
            self._budgets[own] = self._counted(model)
        return self._budgets[own]

    def settings(self, point: Point) -> dict[str, Value]:
        """Returns all settings of a point, with those that are fixed."""
        return {**self.spec.fixed, **point}

    def epochs(self, point: Point) -> int:
        """Returns the epochs of a point's run."""
        return recipe(self.settings(point)).epochs

    def points(self) -> list[Point]:
        """Returns the points that are known before the first run, in their order.

        Those of a grid are in the order of their seeds first, so that all entries of a
        seed are trained before those of the next. More trials of a random search leave
        those before them unchanged. A search that learns has none: the network and the
        recipe at each end of each axis are checked.

        Raises:
            UserError: If there are fewer points than trials, or an end of an axis is
                out of range.
        """
        spec = self.spec
        found: list[Point] = []
        if spec.search == "optuna":
            for point in ends(spec.axes):
                self.run(point)
        elif spec.search == "grid":
            found = [
                {**entry.settings, **point}
                for entry in spec.entries or (Entry({}),)
                for point in grid(spec.axes)
            ]
            seeds = spec.axes.get("seed")
            if isinstance(seeds, Choices):
                found.sort(key=lambda point: seeds.values.index(point["seed"]))
        else:
            assert spec.trials is not None
            chance = Chance(spec.search_seed)
            misses = 0
            while len(found) < spec.trials:
                point = drawn(spec.axes, chance)
                misses = misses + 1 if point in found else 0
                if not misses:
                    found.append(point)
                elif misses > 1000:
                    raise RunError(
                        "trials must be at most the points that the axes have, got "
                        f"{spec.trials} and found {len(found)}"
                    )
        return found

    def run(self, point: Point) -> PlannedRun:
        """Returns the run of a point.

        Raises:
            UserError: If it cannot be built, or its settings do not go together.
        """
        settings = self.settings(point)
        try:
            model = network(settings, self.data)
            if self.spec.equal_macs:
                model = network_at_budget(
                    label(point),
                    model,
                    lambda channels: network(settings, self.data, channels),
                    self.budget(settings),
                    counted=self._counted,
                )
            assert model.config is not None
            trained, computed = recipe(settings), execution(settings)
            task = TASKS[self.data.task](model, self.data, trained)
            task.check(computed)
            check_steps(trained, task.fewest, computed.accumulate, None)
            return PlannedRun(
                point,
                model.config,
                trained,
                data_source(settings),
                seed(settings),
                execution=computed,
            )
        except UserError as error:
            where = ", ".join(f"{key} = {value!r}" for key, value in point.items())
            message = f"{error} (at {where or 'the fixed settings'})"
            raise type(error)(message) from error

    def shared(self) -> dict[str, Any]:
        """Returns what all runs of a folder share, ready for JSON.

        Its points are not among it: an experiment may gain some.
        """
        spec = self.spec
        shared: dict[str, Any] = {
            "fixed": dict(spec.fixed),
            "data": self.data.as_dict(),
            "budget": None,
        }
        if spec.equal_macs:
            # The rates at which the first network is trained do not change its cost.
            first = self.first.items()
            shared["budget"] = label({k: v for k, v in first if k in NETWORK_SETTINGS})
        if spec.search == "optuna":
            shared["objective"] = list(spec.objective)
            shared["search_seed"] = spec.search_seed
            shared["space"] = {name: repr(axis) for name, axis in spec.axes.items()}
        return shared


def label(point: Mapping[str, Value]) -> str:
    """Returns a point without its seed in words, as reports call it.

    Example:
        >>> label({"wiring": "complete", "edges": "dynamic", "budget": 0.5, "seed": 0})
        'complete dynamic budget=0.5'
    """
    bare = [str(point[key]) for key in ("wiring", "edges") if key in point]
    rest = (key for key in point if key not in ("wiring", "edges", "seed"))
    return " ".join([*bare, *(f"{key}={point[key]}" for key in rest)]) or "run"


def run_name(point: Mapping[str, Value]) -> str:
    """Returns the name of a point's run; no two points have the same.

    Example:
        >>> run_name({"wiring": "ws:k=4,p=0.5", "edges": "learned", "seed": 0})
        'wiring=ws_k=4_p=0.5,edges=learned,seed=0'
    """
    parts = [f"{key}={value}" for key, value in point.items()]
    plain = [re.sub(r"[:,]", "_", part) for part in parts]
    name = ",".join(plain) or "run"
    exact = re.fullmatch(r"[A-Za-z0-9.=,_+-]+", name) and len(name) <= LONGEST_NAME
    if exact and all("_" not in str(value) for value in point.values()):
        return name
    # A digest distinguishes what a name cannot hold.
    digest = sha256("\n".join(parts).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.=,_+-]+', '_', name)[:LONGEST_NAME]}-{digest}"
