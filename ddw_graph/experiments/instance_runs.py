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
from ddw_graph.training.text_data import TextData

Rows = list[dict[str, Any]]


def instance_tests(
    groups: Sequence[Group],
    data: ImageData | TextData,
    folder: Path,
    *,
    device: str = "cpu",
    workers: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Rows, Rows]:
    """Returns a row for each run and kind of wirings, and one for each run and stage.

    They are of all runs that the folder has tests of, each entry and seed once. What
    was found of a network is kept in the folder ``tested`` and not computed again,
    unless the network or its images are others. A run's seed fixes its shuffles.

    Args:
        data: The images; each network sees them prepared as it was trained.
        folder: Where the results go: new, empty, or that of an earlier test.

    Raises:
        RunError: If the data are a text, a run is not trained or has no dynamic edges,
            or the folder holds something else.
        DataError: If the images are of other classes.
    """
    if data.task != "classification":
        raise RunError(f"a test of instances must be of images, got {data.name}")
    tested = folder / "tested"
    there = folder.iterdir() if folder.exists() and not tested.is_dir() else ()
    if not all(map(is_draft, there)):
        raise RunError(
            "a test of instances needs an empty or a new folder, or that of an earlier "
            f"one, got {folder}"
        )
    tested.mkdir(parents=True, exist_ok=True)
    runs = [
        (group.name, seed, run) for group in groups for seed, run in group.runs.items()
    ]
    for done, (name, seed, path) in enumerate(runs, start=1):
        run = Run(path)
        images, model = run.adapt(data), run.network(device=device)
        known = weights_digest(model), images.as_dict(), images.transform, seed
        # One test of each entry and seed: another of the same would count twice.
        file = tested / f"{_digest(f'{name} {seed}')[:16]}.json"
        found = _read(file) if file.exists() else {}
        if found.get("digest") != _digest(repr(known)):
            kinds, varied = instance_test(model, images, seed=seed, workers=workers)
            found = {
                "wirings": [asdict(each) for each in kinds],
                "stages": [asdict(each) for each in varied],
                "digest": _digest(repr(known)),
            }
        write_json(file, {**found, "entry": name, "seed": seed})
        if progress:
            progress(done, len(runs))
    all_tests = [_read(file) for file in sorted(tested.glob("*.json"))]
    order = {name: place for place, (name, _, _) in enumerate(reversed(runs))}
    all_tests.sort(key=lambda each: (-order.get(each["entry"], -1), each["seed"]))
    wirings: Rows = []
    stages: Rows = []
    for each in all_tests:
        about = {"entry": each["entry"], "seed": each["seed"]}
        wirings += [{**about, **row} for row in each["wirings"]]
        numbered = enumerate(each["stages"], start=1)
        stages += [{**about, "stage": number, **row} for number, row in numbered]
    return wirings, stages


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _read(path: Path) -> dict[str, Any]:
    found: Any = read_json(path)
    kinds = {"entry": str, "seed": int, "wirings": list, "stages": list}
    if not (
        isinstance(found, dict)
        and all(isinstance(found.get(key), kind) for key, kind in kinds.items())
        and all(isinstance(row, dict) for row in found["wirings"] + found["stages"])
        and [row.get("wiring") for row in found["wirings"]] == list(WIRINGS)
    ):
        raise RunError(
            f"{path} must hold a test of instances; delete it to test that run again"
        )
    kept: dict[str, Any] = found
    return kept
