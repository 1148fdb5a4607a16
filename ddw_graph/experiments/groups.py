"""Finished runs grouped by what they are runs of: everything but the seed."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ddw_graph.errors import RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.plan import label
from ddw_graph.nn.edges import is_static
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder


@dataclass(frozen=True)
class Group:
    """Runs of one configuration and different seeds.

    Args:
        name: Of runs of an experiment their entry, else the name of the first folder.
        runs: Their folders, by seed.
    """

    name: str
    runs: dict[int, Path]


def runs_in(folders: Sequence[Path], *, dynamic: bool = False) -> list[Path]:
    """Returns folders with those of experiments replaced by their finished runs.

    Args:
        dynamic: Whether runs of experiments with static edges are left out.

    Raises:
        RunError: If an experiment has no such run.
    """
    found: list[Path] = []
    for path in folders:
        if not (path / "runs.json").is_file():
            found.append(path)
            continue
        folder = ExperimentFolder(path)
        planned = folder.planned()
        runs = [folder.run(n) for n in planned if folder.result(n) is not None]
        if dynamic:
            runs = [r for r in runs if not is_static(Run(r).model_config["edges"])]
        if not runs:
            which = "a finished run" + " with dynamic edges" * dynamic
            raise RunError(f"an experiment must have {which}, got {path}")
        found += runs
    return found


def groups(folders: Sequence[Path]) -> list[Group]:
    """Returns runs grouped by their configuration, in the order of the first of each.

    Two draws of a random wiring are of one configuration.

    Raises:
        RunError: If a folder holds no run, or two have the same seed and configuration.
    """
    found: dict[str, dict[int, Path]] = {}
    names: dict[str, str] = {}
    for folder, (seed, key, name) in zip(folders, _keys(folders), strict=True):
        runs = found.setdefault(key, {})
        names.setdefault(key, name)
        if seed in runs:
            raise RunError(
                f"runs of one configuration must differ in their seeds, got seed {seed}"
                f" in {runs[seed]} and in {folder}"
            )
        runs[seed] = folder
    all_names = list(names.values())
    for key, runs in found.items():
        # A name that two configurations have would identify neither.
        if all_names.count(names[key]) > 1:
            names[key] = str(next(iter(runs.values())))
    return [Group(names[k], dict(sorted(runs.items()))) for k, runs in found.items()]


def _keys(folders: Sequence[Path]) -> list[tuple[int, str, str]]:
    """Returns the seed of each run, what it is a run of, and a name for that.

    Initial weights count only where runs of one seed differ in nothing else: those of
    new networks follow from the seed, those of networks to start from do not.
    """
    runs = list(map(Run, folders))
    keys = [(run.seed, *_without_seed(run)) for run in runs]
    if len({key[:2] for key in keys}) == len(keys):
        return keys
    weights = [run.config.get("weights") for run in runs]
    found = zip(keys, weights, strict=True)
    return [(seed, f"{key} {own}", name) for (seed, key, name), own in found]


def _without_seed(run: Run) -> tuple[str, str]:
    """Returns a run's configuration but for what its seed draws, and its name."""
    path = run.path.resolve()
    experiment = ExperimentFolder(path.parent.parent)
    if experiment.job(path.name, ".json").is_file():
        # An experiment gives each draw of a wiring the width that its budget needs.
        point = experiment.plan(path.name).point
        shared = RunFolder(experiment.path).content()["config"]
        of = {key: value for key, value in point.items() if key != "seed"}
        return json.dumps([shared, of], sort_keys=True), label(point)
    config = {k: v for k, v in run.config.items() if k not in ("seed", "weights")}
    wirings = []
    for wiring in run.model_config.get("wirings", ()):
        text = wiring.get("wiring") or ""
        origin = re.sub(r",seed=\d+", "", text)
        drawn = () if origin == text else ("edges", "edge_list")
        kept = {key: value for key, value in wiring.items() if key not in drawn}
        wirings.append({**kept, "wiring": origin})
    config["model"] = {**run.model_config, "wirings": wirings}
    return json.dumps(config, sort_keys=True), path.name
