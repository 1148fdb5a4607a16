"""From the points of a sweep to planned runs."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from ddw_graph.errors import RunError, UserError
from ddw_graph.experiments.equal_macs import TotalMacs, network_at_budget
from ddw_graph.experiments.runs import PlannedRun
from ddw_graph.sweeping.axes import (
    Point,
    Range,
    Value,
    drawn,
    ends,
    first,
    grid,
)
from ddw_graph.sweeping.settings import (
    data_source,
    execution,
    network,
    recipe,
    seed,
)
from ddw_graph.sweeping.spec import SweepSpec
from ddw_graph.training.launch import TASKS
from ddw_graph.training.loop import check_steps

LONGEST_NAME = 120
"""Characters of a run's name; file systems take 255."""


@dataclass(frozen=True)
class SweepPlan:
    """A sweep with its images: what turns points into runs.

    Args:
        spec: The sweep.
        data: The images.
    """

    spec: SweepSpec
    data: Any

    @cached_property
    def budget(self) -> int | None:
        """Total MACs of the first network, where all are to have as many."""
        if not self.spec.equal_macs:
            return None
        model = network(self.settings(first(self.spec.axes)), self.data)
        return self._counted(model)

    @cached_property
    def _counted(self) -> TotalMacs:
        return TotalMacs(self.data.image_size)

    def settings(self, point: Point) -> dict[str, Value]:
        """Returns all settings of a point, those that are fixed too."""
        return {**self.spec.fixed, **point}

    def epochs(self, point: Point) -> int:
        """Returns the epochs of a point's run."""
        return recipe(self.settings(point)).epochs

    def points(self) -> list[Point]:
        """Returns the points of a grid, or of a random search, in their order.

        More trials leave those before them as they are.

        Raises:
            RunError: If there are fewer points than trials.
        """
        if self.spec.search == "grid":
            return grid(self.spec.axes)
        assert self.spec.trials is not None
        chooser = Chance(self.spec.search_seed)
        found: list[Point] = []
        misses = 0
        while len(found) < self.spec.trials:
            point = drawn(self.spec.axes, chooser)
            misses = misses + 1 if point in found else 0
            if not misses:
                found.append(point)
            elif misses > 1000:
                raise RunError(
                    f"trials must be at most the points that the axes have, got "
                    f"{self.spec.trials} and found {len(found)}"
                )
        return found

    def run(self, point: Point, folder: Path) -> PlannedRun:
        """Returns the run of a point, in a folder of its own under ``folder``.

        Raises:
            UserError: If it cannot be built, or a value is out of range.
        """
        settings = self.settings(point)
        name = run_name(point)
        try:
            model = network(settings, self.data)
            if self.budget is not None:
                model = network_at_budget(
                    name,
                    model,
                    lambda channels: network(settings, self.data, channels),
                    self.budget,
                    counted=self._counted,
                )
            assert model.config is not None
            trained, computed = recipe(settings), execution(settings)
            fewest = TASKS[self.data.task].fewest
            check_steps(trained, fewest, computed.accumulate, None)
            return PlannedRun(
                folder / name,
                model.config,
                trained,
                data_source(settings),
                seed(settings),
                execution=computed,
            )
        except UserError as error:
            told = ", ".join(f"{key} = {value!r}" for key, value in point.items())
            raise type(error)(f"{error} (at {told or 'the fixed settings'})") from error

    def check_ends(self) -> None:
        """Checks the network and the recipe at each end of each axis.

        Raises:
            UserError: If one cannot be built, or a value is out of range.
        """
        for point in ends(self.spec.axes):
            self.run(point, Path())

    def shared(self) -> dict[str, Any]:
        """Returns what all runs share, ready for JSON: a sweep may gain points."""
        spec = self.spec
        shared: dict[str, Any] = {
            "fixed": dict(spec.fixed),
            "axes": sorted(spec.axes),
            "data": self.data.as_dict(),
            "search": spec.search,
            "equal_macs": self.budget,
        }
        if spec.search != "grid":
            shared["search_seed"] = spec.search_seed
        if spec.objective:
            shared["objective"] = list(spec.objective)
            shared["space"] = {name: repr(axis) for name, axis in spec.axes.items()}
        return shared


class Chance:
    """Chooses by chance, each time the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def choice(self, name: str, among: Any) -> int:
        """Returns the place of one of the values."""
        return int(self.generator.integers(len(among)))

    def number(self, name: str, among: Range) -> int | float:
        """Returns a number of a range."""
        return number_at(among, float(self.generator.random()))


def number_at(among: Range, share: float) -> int | float:
    """Returns the number at a share of a range, in four digits if it is not whole.

    Example:
        >>> number_at(Range(0.01, 1.0, log=True), 0.5)
        0.1
        >>> number_at(Range(1, 4, whole=True), 0.99)
        4
    """
    low, high = among.low, among.high + among.whole
    if among.log:
        found = float(low * (high / low) ** share)
    else:
        found = low + (high - low) * share
    if among.whole:
        return min(int(found), int(among.high))
    return among.rounded(found)


def run_name(point: Mapping[str, Value]) -> str:
    """Returns the name of a point's run, of which each point has its own.

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
    # What a name cannot hold, a digest tells apart.
    digest = sha256("\n".join(parts).encode()).hexdigest()[:8]
    return f"{re.sub(r'[^A-Za-z0-9.=,_+-]+', '_', name)[:LONGEST_NAME]}-{digest}"
