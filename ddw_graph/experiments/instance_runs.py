"""The test of instances for many trained runs, each once."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddw_graph.atomic import is_draft
from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group
from ddw_graph.experiments.instances import WIRINGS, instance_test
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.launch import weights_digest
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import read_json, write_json

Rows = list[dict[str, Any]]


def instance_tests(
    groups: Sequence[Group],
    data: ImageData,
    folder: Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Rows, Rows]:
    """Returns a row for each run and kind of wirings, and one for each run and stage.

    They are of all runs that the folder has tests of, each entry and seed once. What
    was found of a network is kept in the folder ``tested`` and not computed again,
    unless the network, its images or the shuffles are others.

    Args:
        groups: Runs by their configuration.
        data: The images; each network sees them prepared as it was trained.
        folder: Where the results go: new, empty, or that of an earlier test.
        seed: Fixes the shuffles; each run adds its own seed.
        device: Where to test.
        workers: Processes that load images.
        progress: Called with the number of runs done and of all.

    Raises:
        RunError: If a run is not trained, or has no dynamic edges, or the folder holds
            something else.
        DataError: If the images are of other classes.
    """
    if seed < 0:
        raise RunError(f"the seed of shuffles must be at least 0, got {seed}")
    tested = folder / "tested"
    there = folder.iterdir() if folder.exists() and not tested.is_dir() else ()
    if not all(map(is_draft, there)):
        raise RunError(
            "a test of instances needs an empty or a new folder, or that of an earlier "
            f"one, got {folder}"
        )
    tested.mkdir(parents=True, exist_ok=True)
    runs = [
        (group.name, own, run) for group in groups for own, run in group.runs.items()
    ]
    for done, (name, own, run) in enumerate(runs, start=1):
        _test(run, name, own, data, tested, (seed, own), device, workers)
        if progress:
            progress(done, len(runs))
    found = [_read(path) for path in sorted(tested.glob("*.json"))]
    order = {name: place for place, (name, _, _) in enumerate(reversed(runs))}
    found.sort(key=lambda each: (-order.get(each["entry"], -1), each["seed"]))
    about = [{"entry": each["entry"], "seed": each["seed"]} for each in found]
    wirings = [
        {**own, **row}
        for own, each in zip(about, found, strict=True)
        for row in each["wirings"]
    ]
    stages = [
        {**own, "stage": stage, **row}
        for own, each in zip(about, found, strict=True)
        for stage, row in enumerate(each["stages"], start=1)
    ]
    return wirings, stages


def _test(
    run: Path,
    name: str,
    own: int,
    data: ImageData,
    folder: Path,
    seeds: tuple[int, int],
    device: str,
    workers: int,
) -> None:
    """Tests a run, unless that was done before, and writes what was found."""
    trained = Run(run)
    images = trained.adapt(data)
    model = trained.network(device=device)
    known = weights_digest(model), images.as_dict(), images.transform, seeds
    digest = hashlib.sha256(repr(known).encode()).hexdigest()
    # One test of each entry and seed: another of the same would count twice.
    place = hashlib.sha256(f"{name} {own}".encode()).hexdigest()
    path = folder / f"{place[:16]}.json"
    found = _read(path) if path.exists() else {}
    if found.get("digest") != digest:
        tested, varied = instance_test(model, images, seed=seeds, workers=workers)
        found = {
            "wirings": [asdict(each) for each in tested],
            "stages": [asdict(each) for each in varied],
        }
    write_json(path, {**found, "entry": name, "seed": own, "digest": digest})


def _read(path: Path) -> dict[str, Any]:
    found = read_json(path)
    if not (
        isinstance(found, dict)
        and isinstance(found.get("entry"), str)
        and isinstance(found.get("seed"), int)
        and isinstance(found.get("stages"), list)
        and isinstance(found.get("wirings"), list)
        and all(isinstance(row, dict) for row in found["wirings"] + found["stages"])
        and [row.get("wiring") for row in found["wirings"]] == list(WIRINGS)
    ):
        raise RunError(
            f"{path} must hold a test of instances; delete it to test that run again"
        )
    kept: dict[str, Any] = found
    return kept
