"""Runs belong together where only their seeds differ."""

from pathlib import Path
from typing import Any

import pytest

from ddw_graph.errors import RunError
from ddw_graph.experiments.groups import groups
from ddw_graph.sweeping.plan import run_name
from ddw_graph.training.run_folder import RunFolder
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
    ]
    found = groups(runs)
    assert [group.name for group in found] == ["a", "c", "d", "e", "g"]
    assert found[0].runs == {0: runs[1], 1: runs[0]} and list(found[0].runs) == [0, 1]
    assert found[3].runs == {0: runs[4], 1: runs[5]}


def test_draws_of_a_comparison_differ_in_width(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / name / f"seed-{seed}", seed, channels=width)
        for name, seed, width in (("a", 0, 4), ("a", 1, 5), ("b", 0, 4))
    ]
    found = groups(runs)
    assert [(group.name, list(group.runs)) for group in found] == [
        ("a", [0, 1]),
        ("b", [0]),
    ]


def test_a_group_of_a_sweep_is_not_called_by_a_seed(tmp_path: Path) -> None:
    point: dict[str, Any] = {"edges": "dynamic:bias=0.0,router_std=1.0"}
    points = [{"seed": seed, **point} for seed in (0, 1)]
    names = [run_name(each) for each in points]
    assert all("-" in name for name in names)  # with digests that know the seed
    runs = [
        *(run(tmp_path / name, seed) for seed, name in enumerate(names)),
        run(tmp_path / "seed=0,edges=fixed", 0, recipe=2),
        run(tmp_path / "seed=1,edges=fixed", 1, recipe=2),
        run(tmp_path / "router_lr=2,seed=0", 0, recipe=3),
        run(tmp_path / "seed=3", 3, recipe=4),
        run(tmp_path / "a" / "seed=0", 0, recipe=5, channels=4),
        run(tmp_path / "b" / "seed=1", 1, recipe=5, channels=8),
    ]
    found = groups(runs)
    assert [(group.name, list(group.runs)) for group in found] == [
        ("edges=dynamic_bias=0.0_router_std=1.0", [0, 1]),
        ("edges=fixed", [0, 1]),
        ("router_lr=2", [0]),
        ("seed=3", [3]),
        ("seed=0", [0]),
        ("seed=1", [1]),
    ]


def test_names_that_tell_nothing_are_paths(tmp_path: Path) -> None:
    runs = [
        run(tmp_path / outer / "a", 0, recipe=k)
        for k, outer in enumerate("xy", start=1)
    ]
    assert [group.name for group in groups(runs)] == [str(path) for path in runs]


def test_a_seed_stands_once(tmp_path: Path) -> None:
    runs = [run(tmp_path / name, 0) for name in "ab"]
    with pytest.raises(RunError, match="differ in their seeds, got seed 0"):
        groups(runs)
    with pytest.raises(RunError, match="must hold config.json"):
        groups([tmp_path])


def test_a_run_without_a_seed_belongs_to_no_group(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a")
    folder.start({"model": small_config()}, resume=False)
    with pytest.raises(RunError, match="a must hold its seed, got None"):
        groups([tmp_path / "a"])
