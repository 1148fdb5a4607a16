"""Runs belong together where only their seeds differ."""

from pathlib import Path
from typing import Any

import pytest

from ddw_graph.errors import RunError
from ddw_graph.experiments.folder import ExperimentFolder
from ddw_graph.experiments.groups import groups, runs_in
from ddw_graph.experiments.plan import run_name
from ddw_graph.experiments.planned_run import PlannedRun
from ddw_graph.training.data import DataSource
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run_folder import RunFolder, write_json
from tests.experiments.small import RESULT
from tests.training.small import small_config


def run(path: Path, own: int, recipe: int = 1, **model: Any) -> Path:
    config = {
        "model": small_config(**model),
        "data": {},
        "recipe": {"epochs": recipe},
        "seed": own,
    }
    RunFolder(path).start(config, resume=False)
    return path


def test_a_group_is_all_but_the_seed(tmp_path: Path) -> None:
    drawn: dict[str, Any] = {"edges": "learned", "wiring": "ws:k=2,p=0.5"}
    runs = [
        run(tmp_path / "a", 1),
        run(tmp_path / "b", 0),
        run(tmp_path / "c", 0, recipe=2),
        run(tmp_path / "d", 0, edges="dynamic:bias=0"),
        run(tmp_path / "e", 0, **drawn, seed=0),
        run(tmp_path / "f", 1, **drawn, seed=1),
        run(tmp_path / "g", 0, edges="learned", wiring="er:p=0.5", seed=1),
        # A name that two have identifies neither.
        run(tmp_path / "x" / "h", 0, recipe=3),
        run(tmp_path / "y" / "h", 0, recipe=4),
    ]
    found = groups(runs)
    paths = list(map(str, runs[-2:]))
    assert [group.name for group in found] == ["a", "c", "d", "e", "g", *paths]
    assert found[0].runs == {0: runs[1], 1: runs[0]} and list(found[0].runs) == [0, 1]
    assert found[3].runs == {0: runs[4], 1: runs[5]}


def test_runs_of_an_experiment_are_grouped_by_their_entries(tmp_path: Path) -> None:
    points: list[dict[str, Any]] = [
        {"wiring": wiring, "seed": seed}
        for seed in (0, 1)
        for wiring in ("complete", "file:a/b.json", "file:a_b.json")
    ]
    for folder, epochs in (("x", 1), ("y", 2)):
        RunFolder(tmp_path / folder).start({"fixed": {"epochs": epochs}}, resume=False)
        (tmp_path / folder / "jobs").mkdir()
        planned = {run_name(point): 1 for point in points}
        write_json(tmp_path / folder / "runs.json", planned)
        for width, point in enumerate(points, start=4):
            plan = PlannedRun(point, {}, Recipe(), DataSource(), point["seed"])
            experiment = ExperimentFolder(tmp_path / folder)
            experiment.write_plan(run_name(point), plan)
            path = experiment.run(run_name(point))
            # The width that the budget gives to a draw does not tell groups apart.
            run(path, point["seed"], channels=width)
            write_json(path / "result.json", RESULT)
    runs = runs_in([tmp_path / "x"])
    assert len(runs) == 6
    found = groups(runs)
    assert [(group.name, list(group.runs)) for group in found] == [
        (wiring, [0, 1]) for wiring in ("complete", "file:a/b.json", "file:a_b.json")
    ]
    both = groups(runs_in([tmp_path / "x", tmp_path / "y"]))
    assert len(both) == 6 and both[0].name == str(runs[0])
    with pytest.raises(RunError, match="must have a finished run"):
        for path in runs:
            (path / "result.json").unlink()
        runs_in([tmp_path / "x"])


def test_a_seed_stands_once(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, 0) for name in "ab"]
    with pytest.raises(RunError, match="differ in their seeds, got seed 0"):
        groups(runs)
    with pytest.raises(RunError, match="must hold config.json"):
        groups([tmp_path])
