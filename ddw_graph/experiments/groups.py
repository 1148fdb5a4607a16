"""Finished runs sorted by what they are runs of: all but the seed."""

import json
import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from ddw_graph.errors import RunError
from ddw_graph.training.run import Run

SEED = re.compile(r"seed=\d+")
"""The part of a sweep's run's name that says its seed."""

DIGEST = re.compile(r"-[0-9a-f]{8}$")
"""What tells runs of a sweep apart whose names would not, by their seeds as well."""


@dataclass(frozen=True)
class Group:
    """Runs of one configuration and different seeds.

    Args:
        name: That of their folder, without the seed.
        runs: Their folders, by seed.
    """

    name: str
    runs: dict[int, Path]


def groups(folders: Sequence[Path]) -> list[Group]:
    """Returns runs by their configuration, in the order of the first of each.

    Two draws of a random wiring are of one configuration. A comparison gives each draw
    the width that its budget asks for, so runs in one folder of a comparison, each
    named for its seed, may differ in width.

    Args:
        folders: Folders of runs, finished or not.

    Raises:
        RunError: If a folder holds no run, or one without a seed, or two
            have the same seed and configuration.
    """
    found: dict[str, dict[int, Path]] = {}
    for folder, (seed, key) in zip(folders, _keys(folders), strict=True):
        runs = found.setdefault(key, {})
        if seed in runs:
            raise RunError(
                f"runs of one configuration must differ in their seeds, got seed {seed}"
                f" in {runs[seed]} and in {folder}"
            )
        runs[seed] = folder
    firsts = [next(iter(runs.values())) for runs in found.values()]
    names = [_name(first) for first in firsts]
    return [
        # A name that two configurations have would tell neither.
        Group(
            name if names.count(name) == 1 else str(first), dict(sorted(runs.items()))
        )
        for name, first, runs in zip(names, firsts, found.values(), strict=True)
    ]


def _keys(folders: Sequence[Path]) -> list[tuple[int, str]]:
    """Returns the seed of each run, and what it is a run of.

    Initial weights count only where runs of one seed differ in nothing else: those of
    new networks follow from the seed, those of networks to start from do not.
    """
    runs = list(map(Run, folders))
    keys = [(run.seed, _without_seed(run)) for run in runs]
    if len(set(keys)) == len(keys):
        return keys
    return [
        (seed, f"{key} {run.config.get('weights')}")
        for run, (seed, key) in zip(runs, keys, strict=True)
    ]


def check_none_left_out(
    folder: Path,
    there: Set[tuple[str, int]],
    wanted: Set[tuple[str, int]],
    *,
    what: str,
    by: str,
) -> None:
    """Checks that what a folder's tables tell of is among what will replace them.

    Args:
        folder: The folder.
        there: Entry and seed of what the tables tell of.
        wanted: Likewise of what they are to tell of.
        what: What entries and seeds are of, in words.
        by: What replaces the tables, in words.

    Raises:
        RunError: If something is left out.
    """
    lost = sorted(f"{label} with seed {seed}" for label, seed in there - wanted)
    if lost:
        raise RunError(
            f"{folder} holds {what} that this {by} leaves out, {lost[0]} among them; "
            "name all of them, or take another folder"
        )


def _of_comparison(run: Path) -> bool:
    return run.resolve().name.startswith("seed-")


def _name(run: Path) -> str:
    """Returns what a run is called, without its seed where its folder names it.

    Of a comparison's ``ENTRY/seed-3`` it is ``ENTRY``, of a sweep's
    ``seed=3,edges=fixed`` the rest.
    """
    path = run.resolve()
    if _of_comparison(run):
        return path.parent.name
    parts = DIGEST.sub("", path.name).split(",")
    rest = [part for part in parts if not SEED.fullmatch(part)]
    return path.name if rest == parts or not rest else ",".join(rest)


def _without_seed(run: Run) -> str:
    """Returns a run's configuration but for what its seed draws."""
    model = dict(run.model_config)
    if _of_comparison(run.path):
        model["channels"] = str(run.path.resolve().parent)
    wirings = []
    for wiring in model.get("wirings", ()):
        arguments = dict(wiring.get("arguments") or {})
        drawn = ("edges", "edge_list") if "seed" in arguments else ()
        arguments.pop("seed", None)
        kept = {key: value for key, value in wiring.items() if key not in drawn}
        wirings.append({**kept, "arguments": arguments})
    shared = dict(run.config)
    del shared["seed"]
    shared.pop("weights", None)
    shared["model"] = {**model, "wirings": wirings}
    return json.dumps(shared, sort_keys=True)
