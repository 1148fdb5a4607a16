"""A comparison pairs runs of equal budget, and goes on where it was interrupted."""

import json
import statistics
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from ddw_graph import create_model
from ddw_graph.errors import ModelError, RunError
from ddw_graph.experiments.compare import (
    DEFAULT_ENTRIES,
    Comparison,
    Entry,
    entries,
    run_comparison,
    tasks,
)
from ddw_graph.experiments.equal_macs import AIM, TOLERANCE, TotalMacs, matched_channels
from ddw_graph.experiments.runs import run_all
from ddw_graph.experiments.summary import paired_difference, summary
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.data import DataSource
from ddw_graph.training.execution import Execution
from ddw_graph.training.recipe import recipe_named

FULL = pytest.mark.full
QUICK = recipe_named("small", epochs=1, batch_size=100)


def comparison(**changes: Any) -> Comparison:
    settings: dict[str, Any] = {
        "entries": (Entry("complete", "dynamic"), Entry("resnet", "learned")),
        "seeds": (0, 1),
        "recipe": QUICK,
        "source": DataSource(),
        "channels": 6.0,
        "settings": {"n": 2},
    }
    return Comparison(**settings | changes)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(3))
def test_every_default_network_has_the_budget_of_the_first(
    tmp_path: Path, seed: int
) -> None:
    whole = comparison(
        entries=DEFAULT_ENTRIES, seeds=(seed,), channels=None, settings={}
    )
    made = tasks(whole, DataSource().load(), tmp_path)
    from ddw_graph.models import from_config

    macs = [cost(from_config(task.run.model), 28).total_macs for task in made]
    assert len(macs) == 4 and made[0].run.model["channels"] == 16
    assert all(abs(value / macs[0] - 1) <= TOLERANCE for value in macs)
    wirings = {json.dumps(task.run.model["wirings"]) for task in made}
    assert len(wirings) == 4


def test_a_budget_that_no_width_meets_is_refused() -> None:
    def make(channels: float) -> Network:
        return create_model("randwire_tiny", wiring="vgg", n=2, channels=channels)

    with pytest.raises(ModelError, match="within 3% of 10 MACs"):
        matched_channels(make, 10, counted=TotalMacs(8))


@pytest.mark.full
def test_what_is_alike_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    counts: list[Network] = []

    def spy(model: Network, image_size: int) -> NetworkCost:
        counts.append(model)
        return cost(model, image_size)

    monkeypatch.setattr("ddw_graph.experiments.equal_macs.cost", spy)
    counted = TotalMacs(8)

    def total(**changes: Any) -> int:
        settings = {"wiring": "er:p=0.5", "n": 3, "channels": 5.0, **changes}
        model = create_model("randwire_tiny", **settings)
        found = counted(model)
        assert found == cost(model, 8).total_macs
        return found

    first = total()
    assert total(channels=5.02) == first and len(counts) == 1  # the same whole channels
    others: list[dict[str, Any]] = [
        {"seed": 1},
        {"edges": "learned"},
        {"transition": "input"},
        {"channels": 6.0},
        {"n": 4},
        {"num_classes": 10},
        # Parameters of the same shapes, and more edges.
        {"wiring": "resnet", "edges": "fixed", "transition": "input"},
        {"wiring": "complete", "edges": "fixed", "transition": "input"},
    ]
    for number, change in enumerate(others, start=2):
        total(**change)
        assert len(counts) == number, change


@pytest.mark.full
def test_the_search_ends_where_no_network_is_closer() -> None:
    counted = TotalMacs(28)
    tried: list[float] = []

    def make(channels: float) -> Network:
        tried.append(channels)
        settings: dict[str, Any] = {"wiring": "er:p=0.2", "edges": "learned", "seed": 1}
        settings |= {"in_channels": 1, "num_classes": 10, "channels": channels}
        model: Network = create_model("randwire_tiny", **settings)
        return model

    budget = 2_217_440
    found = matched_channels(make, budget, counted=counted)
    off = abs(counted(make(found)) / budget - 1)
    assert AIM < off <= TOLERANCE and len(tried) < 15
    near = (counted(make(found + step / 20)) for step in range(-5, 6))
    assert min(abs(macs / budget - 1) for macs in near) >= off


@pytest.mark.parametrize(
    "fixtures", [(), pytest.param(("real_processes", "all_images"), marks=FULL)]
)
def test_runs_every_entry_with_every_seed(
    fixtures: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    for name in fixtures:
        request.getfixturevalue(name)
    seen: list[tuple[int, int, int]] = []
    rows = run_comparison(
        comparison(), tmp_path / "c", jobs=2, progress=lambda *how: seen.append(how)
    )
    assert [(row["entry"], row["seed"]) for row in rows] == [
        ("complete dynamic", 0),
        ("resnet learned", 0),
        ("complete dynamic", 1),
        ("resnet learned", 1),
    ]
    assert seen[-1] == (4, 4, 4)
    for row in rows:
        assert 0 <= row["test_accuracy"] <= 1 and row["train_seconds"] > 0
        assert abs(row["total_macs"] / rows[0]["total_macs"] - 1) <= TOLERANCE
    timed = [row["inference_ms"] is not None for row in rows]
    assert timed == [True, True, False, False]
    config = tmp_path / "c" / "runs" / "resnet_learned" / "seed-1" / "config.json"
    assert json.loads(config.read_text())["environment"]["threads"] == 1


def test_goes_on_and_grows_without_repeating(tmp_path: Path) -> None:
    alone = {"entries": (Entry("resnet", "learned"),)}
    first = run_comparison(comparison(**alone, seeds=(0,)), tmp_path / "c", jobs=1)
    runs = sorted((tmp_path / "c" / "runs").glob("*/*/model.safetensors"))
    before = [path.stat().st_mtime_ns for path in runs]
    rows = run_comparison(comparison(**alone), tmp_path / "c", jobs=1)
    assert [path.stat().st_mtime_ns for path in runs] == before
    kept = [row for row in rows if row["seed"] == 0]
    for one, other in zip(first, kept, strict=True):
        assert one | {"inference_ms": 0} == other | {"inference_ms": 0}
    with pytest.raises(RunError, match="another configuration: recipe.epochs is 1"):
        recipe = recipe_named("small", epochs=2, batch_size=100)
        run_comparison(comparison(**alone, recipe=recipe), tmp_path / "c")


def test_a_comparison_that_is_there_stays_whole(tmp_path: Path) -> None:
    both = first, second = Entry("resnet", "fixed"), Entry("resnet", "learned")
    run_comparison(comparison(entries=both, seeds=(0,)), tmp_path / "c", jobs=1)
    before = (tmp_path / "c" / "result.json").read_bytes()
    for changes, message in (
        ({"entries": (first,), "seeds": (0,)}, "leaves out, resnet learned with"),
        ({"seeds": (1,)}, "leaves out, resnet fixed with seed 0 among them"),
        ({"entries": (second, first)}, "budget is 'resnet fixed' there"),
    ):
        with pytest.raises(RunError, match=message):
            whole = comparison(**{"entries": both} | changes)
            run_comparison(whole, tmp_path / "c", jobs=1)
    assert (tmp_path / "c" / "result.json").read_bytes() == before


def test_entries_have_folders_of_their_own() -> None:
    edges = (
        "dynamic:bias=1",
        "dynamic:bias=-1",
        "dynamic:bias=0.1",
        "dynamic:gate=psi",
    )
    assert len({Entry("complete", each).folder for each in edges}) == len(edges)


def test_steps_are_computed_as_asked_for(tmp_path: Path) -> None:
    quick = {"entries": (Entry("vgg", "fixed"),), "seeds": (0,)}
    how = Execution(accumulate=2, channels_last=True)
    run_comparison(comparison(**quick, execution=how), tmp_path / "c", jobs=1)
    config = tmp_path / "c" / "runs" / "vgg_fixed" / "seed-0" / "config.json"
    execution = json.loads(config.read_text())["config"]["execution"]
    assert execution == {**how.as_dict(), "processes": 1}
    with pytest.raises(RunError, match="execution"):
        run_comparison(comparison(**quick), tmp_path / "c", jobs=1)


def test_images_are_loaded_as_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked_for: list[tuple[int, int | None]] = []

    def pretend(*_: Any, workers: int, checkpoint_steps: int | None, **__: Any) -> Any:
        asked_for.append((workers, checkpoint_steps))
        return SimpleNamespace(result={})

    monkeypatch.setattr("ddw_graph.experiments.runs.train", pretend)
    for asked, every in ((0, None), (3, 7)):
        whole = comparison(seeds=(0,), workers=asked, checkpoint_steps=every)
        for task in tasks(whole, DataSource().load(), tmp_path):
            task.run.train()
    assert asked_for == [(0, None)] * 2 + [(3, 7)] * 2


def test_runs_share_cores_and_have_a_gpu_for_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    class Stop(Exception):
        pass

    def pool(jobs: int, **_: Any) -> None:
        asked.append(jobs)
        raise Stop

    monkeypatch.setattr("ddw_graph.experiments.runs.ProcessPoolExecutor", pool)
    monkeypatch.setattr("ddw_graph.experiments.runs.cores", lambda: 8)
    data = DataSource().load()
    for device in ("cpu", "cuda"):
        whole = comparison(seeds=(0, 1), device=device)
        runs = [task.run for task in tasks(whole, data, tmp_path)]
        for jobs in (None, 3):
            with pytest.raises(Stop):
                run_all(runs, jobs=jobs)
    assert len(runs) == 4 and asked == [4, 3, 1, 3]


def test_a_failing_run_is_named(tmp_path: Path) -> None:
    wild = recipe_named("small", epochs=1, batch_size=100, learning_rate=1e30)
    with pytest.raises(RunError, match=r"the run .*seed-\d failed: weights and losses"):
        run_comparison(comparison(recipe=wild), tmp_path / "c", jobs=1)


def test_the_interval_is_students() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.random(7), generator.random(7)
    found = paired_difference(a.tolist(), b.tolist())
    expected = stats.ttest_rel(a, b).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.mean == pytest.approx(float((a - b).mean()))
    alone = paired_difference([1.0], [3.0])
    assert (alone.mean, alone.low, alone.high) == (-2.0, None, None)


def test_the_summary_pairs_by_seed() -> None:
    costs = ("parameters", "macs", "total_macs", "expected_macs")
    shared = dict.fromkeys((*costs, "train_seconds", "inference_ms"), 1.0)
    accuracy = {"a": [0.7, 0.8, 0.9], "b": [0.72, 0.81, 0.93]}
    rows = [
        {"entry": entry, "seed": seed, "test_accuracy": accuracy[entry][seed], **shared}
        for entry, seeds in (("a", (2, 0, 1)), ("b", (1, 2, 0)))
        for seed in seeds
    ]
    first, second = summary(rows)
    assert first["accuracy"] == pytest.approx(80) and first["difference"] is None
    assert second["difference"] == pytest.approx(2.0)
    assert second["accuracy_std"] == pytest.approx(statistics.stdev([72, 81, 93]))
    expected = paired_difference([72, 81, 93], [70, 80, 90])
    assert second["difference_low"] == pytest.approx(expected.low)


def test_the_grid_is_every_wiring_with_every_kind() -> None:
    assert entries((), ()) == DEFAULT_ENTRIES
    grid = entries(("vgg", "ws:k=4,p=0.75"), ("learned", "dynamic:gate=hard"))
    assert [entry.label for entry in grid] == [
        "vgg learned",
        "vgg dynamic:gate=hard",
        "ws:k=4,p=0.75 learned",
        "ws:k=4,p=0.75 dynamic:gate=hard",
    ]
    assert grid[3].folder == "ws_k=4_p=0.75_dynamic_gate=hard"
    assert [e.edges for e in entries(("vgg",), ())] == ["learned", "dynamic"]
    assert [e.label for e in entries((), ("fixed",))] == ["complete fixed"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entries": ()}, "entries must be given"),
        ({"entries": (Entry("vgg", "fixed"),) * 2}, "differ from each other"),
        ({"seeds": ()}, "seeds must be given"),
    ],
)
def test_names_what_it_rejects(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RunError, match=message):
        comparison(**changes)


@pytest.mark.full
@pytest.mark.usefixtures("all_images")
def test_a_budget_is_an_entry_of_its_own_at_the_same_dense_cost(tmp_path: Path) -> None:
    edges = "dynamic:gate=hard,bias=1.5,threshold=0.5"
    grid = entries(("complete",), ("learned", edges), (1.0, 0.5))
    whole = comparison(entries=grid, seeds=(0,))
    rows = run_comparison(whole, tmp_path / "c", jobs=1)
    assert [row["entry"] for row in rows] == [
        "complete learned",
        f"complete {edges} budget=1.0",
        f"complete {edges} budget=0.5",
    ]
    assert [row["budget"] for row in rows] == [None, 1.0, 0.5]
    static, dense, half = rows
    assert dense["total_macs"] == half["total_macs"]
    assert dense["channels"] == half["channels"]
    assert static["expected_macs"] == pytest.approx(static["total_macs"])
    assert half["expected_macs"] < dense["expected_macs"]
    budgets = []
    for entry in grid:
        run = tmp_path / "c" / "runs" / entry.folder / "seed-0" / "config.json"
        budgets.append(json.loads(run.read_text())["config"]["recipe"]["budget"])
    assert budgets == [None, 1.0, 0.5]
    table = summary(rows)
    assert table[2]["expected_macs"] == half["expected_macs"]


def test_budgets_alone_are_of_edges_that_close_on_the_complete_dag() -> None:
    grid = entries((), (), (0.5, 0.7))
    assert [entry.wiring for entry in grid] == ["complete"] * 2
    assert [entry.budget for entry in grid] == [0.5, 0.7]
    comparison(entries=grid)
    several = entries(("vgg", "resnet"), (), (0.5,))
    assert [entry.wiring for entry in several] == ["vgg", "resnet"]
    assert len({entry.folder for entry in (*grid, *several)}) == 4


def test_only_edges_that_close_take_a_budget() -> None:
    with pytest.raises(RunError, match="needs dynamic edges, got fixed, learned"):
        entries((), ("fixed", "learned"), (0.5,))
    for changes, message in (
        ({"entries": entries((), ("dynamic",), (0.5,))}, "gate=hard, got dynamic$"),
        ({"entries": entries((), (), (1.5,))}, r"budget must be in \(0, 1\], got 1.5"),
        ({"entries": entries((), (), (0.5, 0.5))}, "differ from each other"),
        ({"recipe": recipe_named("small", budget=0.5)}, "gate=hard, got dynamic$"),
    ):
        with pytest.raises(RunError, match=message):
            comparison(**changes)


def test_jobs_must_be_positive(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="jobs must be at least 1, got 0"):
        run_comparison(comparison(), tmp_path / "c", jobs=0)
