"""The test of instances for many trained runs, each once."""

import csv
import hashlib
from collections.abc import Callable, Sequence, Set
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import Group, check_none_left_out
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

    What was found of a network is kept in the folder ``tested`` and not found again.

    Args:
        groups: Runs by their configuration.
        data: The images; each network sees them prepared as it was trained.
        folder: Where the results go: new, empty, or that of an earlier test of no other
            runs, which gains what is new.
        seed: Fixes the shuffles; each run adds its own seed.
        device: Where to test.
        workers: Processes that load images.
        progress: Hears of runs done and runs in all.

    Raises:
        RunError: If a run is not trained, or has no dynamic edges, or the folder holds
            something else.
        DataError: If the images are of other classes.
    """
    if seed < 0:
        raise RunError(f"the seed of shuffles must be at least 0, got {seed}")
    rows: Rows = []
    varied: Rows = []
    runs = [(g.name, own, run) for g in groups for own, run in g.runs.items()]
    _check_nothing_lost(folder, {(name, own) for name, own, _ in runs})
    (folder / "tested").mkdir(parents=True, exist_ok=True)
    for done, (name, own, run) in enumerate(runs, start=1):
        found = _found(run, data, folder / "tested", (seed, own), device, workers)
        about = {"entry": name, "seed": own}
        rows += [{**about, **row} for row in found["wirings"]]
        varied += [
            {**about, "stage": stage, **row}
            for stage, row in enumerate(found["stages"], start=1)
        ]
        if progress:
            progress(done, len(runs))
    return rows, varied


def _check_nothing_lost(folder: Path, wanted: Set[tuple[str, int]]) -> None:
    """Checks that what is in a folder is a test whose runs are all among those wanted.

    Raises:
        RunError: If it is not.
    """
    if not folder.exists():
        return
    tables = folder / "wirings.csv"
    names = {path.name for path in folder.iterdir()}
    # An ablation leaves the results of its runs there first.
    if "tested" not in names and names - {"result.json"}:
        raise RunError(
            "a test of instances needs an empty or a new folder, or that of an "
            f"earlier one, got {folder}"
        )
    if not tables.exists():
        return
    try:
        with tables.open(newline="", encoding="utf-8-sig") as file:
            there = {(row["entry"], int(row["seed"])) for row in csv.DictReader(file)}
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise RunError(
            f"{tables} must hold tests by entry and seed, got {error!r}"
        ) from error
    check_none_left_out(folder, there, wanted, what="tests", by="one")


def _found(
    run: Path,
    data: ImageData,
    folder: Path,
    seeds: tuple[int, int],
    device: str,
    workers: int,
) -> dict[str, Rows]:
    """Returns what the test of a run found, now or before."""
    trained = Run(run)
    own = trained.adapt(data)
    model = trained.network(device=device)
    known = weights_digest(model), own.as_dict(), own.transform, seeds
    digest = hashlib.sha256(repr(known).encode())
    path = folder / f"{digest.hexdigest()[:16]}.json"
    if path.exists():
        found = read_json(path)
        if not _is_whole(found):
            raise RunError(
                f"{path} must hold a test of instances; without the file it is made "
                "again"
            )
        kept: dict[str, Rows] = found
        return kept
    tested, varied = instance_test(model, own, seed=seeds, workers=workers)
    made = {
        "wirings": [asdict(each) for each in tested],
        "stages": [asdict(each) for each in varied],
    }
    write_json(path, made)
    return made


def _is_whole(found: Any) -> bool:
    return (
        isinstance(found, dict)
        and isinstance(found.get("stages"), list)
        and isinstance(found.get("wirings"), list)
        and all(isinstance(row, dict) for row in found["wirings"] + found["stages"])
        and [row.get("wiring") for row in found["wirings"]] == list(WIRINGS)
    )
