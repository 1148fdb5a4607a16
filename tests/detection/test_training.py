"""Detectors learn, resume exactly, and never overwrite what is good."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.evaluation import boxes_found, found_in_each
from ddw_graph.detection.figures import FIGURES, coco_figures
from ddw_graph.detection.loop import LOSSES
from ddw_graph.detection.recipe import DetectionRecipe, detection_recipe
from ddw_graph.detection.train import kept_detector, train_detector
from ddw_graph.errors import DataError, ModelError, RunError
from ddw_graph.training.execution import Execution
from ddw_graph.training.run import Row, RunFolder
from ddw_graph.training.world import World
from tests.detection.small import (
    RECIPE,
    small_content,
    small_data,
    small_network,
    small_recipe,
    small_settings,
    write_data,
)

FULL = pytest.mark.full


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoData:
    return small_data(tmp_path_factory.mktemp("data"), images=6)


def run(
    folder: Path,
    data: CocoData,
    *,
    recipe: DetectionRecipe = RECIPE,
    seed: int = 0,
    network_seed: int = 0,
    **options: Any,
) -> dict[str, Any]:
    torch.manual_seed(network_seed)
    return train_detector(
        options.pop("network", None) or small_network(drop_path=0.2),
        options.pop("settings", None) or small_settings(),
        data,
        data,
        recipe,
        seed=seed,
        folder=folder,
        started=options.pop("started", False),
        **options,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = RunFolder(folder).read_checkpoint()["model"]
    return state


class Stop(Exception):
    """Ends a training from outside."""


class StopAt:
    """Ends a training at a step, or after an epoch."""

    def __init__(self, epoch: int, step: int | None = None) -> None:
        self.place = epoch, step

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        if (epoch, step) == self.place:
            raise Stop

    def epoch(self, row: Row) -> None:
        if (row["epoch"], None) == self.place:
            raise Stop


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, data: CocoData) -> Path:
    """Returns the folder of an uninterrupted run, which nobody changes."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    run(folder, data)
    return folder


@pytest.fixture(scope="module")
def after_an_epoch(tmp_path_factory: pytest.TempPathFactory, data: CocoData) -> Path:
    """Returns the folder of a run that ended after its first epoch."""
    folder = tmp_path_factory.mktemp("runs") / "cut"
    with pytest.raises(Stop):
        run(folder, data, listeners=[StopAt(1)])
    return folder


@pytest.fixture
def cut(after_an_epoch: Path, tmp_path: Path) -> Path:
    """Returns a folder with a copy of that run, to change."""
    return Path(shutil.copytree(after_an_epoch, tmp_path / "cut"))


@FULL
def test_finds_all_of_ten_images_that_it_has_learned(tmp_path: Path) -> None:
    ten = small_data(tmp_path / "data", images=10)
    recipe = small_recipe(
        epochs=14, milestones=(11,), batch_size=2, learning_rate=0.02, flip=False
    )
    network = small_network()
    result = run(tmp_path / "run", ten, recipe=recipe, network=network)
    assert result["AP50"] > 0.9 and result["synthetic"] is True
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows[-1]["train_loss"] < rows[0]["train_loss"] / 3
    for row in rows:
        assert row["train_loss"] == pytest.approx(sum(row[name] for name in LOSSES))
    detector = kept_detector(tmp_path / "run" / "detector.safetensors")
    figures = coco_figures(ten, boxes_found(detector, ten))
    assert figures == {name: result[name] for name in FIGURES}


def test_writes_configuration_log_and_result(tmp_path: Path, data: CocoData) -> None:
    folder = tmp_path / "run"
    result = run(folder, data)
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "log.csv",
        "log.jsonl",
        "checkpoint.pt",
        "detector.safetensors",
        "result.json",
    }
    config = json.loads((folder / "config.json").read_text())["config"]
    assert config["recipe"]["milestones"] == [1] and config["seed"] == 0
    assert config["data"]["train"]["objects"] == 12
    assert config["detector"]["settings"]["norm"] == "batch"
    assert len((folder / "log.csv").read_text().splitlines()) == 3
    assert json.loads((folder / "result.json").read_text()) == result
    assert run(folder, data, resume=True) == result
    with pytest.raises(RunError, match="resume it with --resume"):
        run(folder, data)
    with pytest.raises(RunError, match="another configuration: recipe.epochs is 2"):
        run(folder, data, recipe=small_recipe(epochs=4), resume=True)
    (folder / "result.json").write_text('{"AP": 1}')
    with pytest.raises(RunError, match="without the file, --resume makes it again"):
        run(folder, data, resume=True)


@pytest.mark.parametrize(
    "place",
    [
        (2, 1),
        pytest.param((1, None), marks=FULL),
        pytest.param((2, None), marks=FULL),
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, data: CocoData, whole: Path, place: tuple[int, int | None]
) -> None:
    with pytest.raises(Stop):
        run(tmp_path / "cut", data, listeners=[StopAt(*place)])
    torch.randn(5)  # what was drawn in between must not matter
    result = run(tmp_path / "cut", data, resume=True)
    first, second = weights(whole), weights(tmp_path / "cut")
    assert all(torch.equal(first[key], second[key]) for key in first)
    uninterrupted = json.loads((whole / "result.json").read_text())
    assert uninterrupted | {"train_seconds": 0} == result | {"train_seconds": 0}
    model = "detector.safetensors"
    paths = whole / model, tmp_path / "cut" / model
    assert paths[0].read_bytes() == paths[1].read_bytes()


@FULL
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_learns_nearly_the_same_and_resumes(
    tmp_path: Path, data: CocoData, precision: str
) -> None:
    execution = Execution(precision=precision, channels_last=True)
    exact = run(tmp_path / "exact", data)
    whole = run(tmp_path / "whole", data, execution=execution)
    with pytest.raises(Stop):
        run(tmp_path / "cut", data, execution=execution, listeners=[StopAt(2, 1)])
    with pytest.raises(RunError, match="another configuration: execution is"):
        run(tmp_path / "cut", data, resume=True)
    result = run(tmp_path / "cut", data, execution=execution, resume=True)
    assert whole | {"train_seconds": 0} == result | {"train_seconds": 0}
    assert whole["train_loss"] != exact["train_loss"]
    assert whole["train_loss"] == pytest.approx(exact["train_loss"], rel=0.1)
    first, second = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(first[key], second[key]) for key in first)
    kept = RunFolder(tmp_path / "cut").read_checkpoint()
    assert ("scaler" in kept) == (precision == "float16")
    wide = [w for w in first.values() if w.dim() == 4 and min(w.shape[1:3]) > 1]
    assert wide and {w.dtype for w in first.values()} <= {torch.float32, torch.int64}
    assert all(w.is_contiguous(memory_format=torch.channels_last) for w in wide)


def test_steps_of_other_kinds_are_refused(tmp_path: Path, data: CocoData) -> None:
    for execution in (
        Execution(accumulate=2),
        Execution(compile=True),
        Execution(deterministic=True),
    ):
        with pytest.raises(RunError, match="precision and channels_last, got [acd]"):
            run(tmp_path / "run", data, execution=execution)
    assert not (tmp_path / "run").exists()


@FULL
def test_the_seed_fixes_the_weights(tmp_path: Path, data: CocoData) -> None:
    recipe = small_recipe(epochs=1, milestones=())
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(tmp_path / name, data, recipe=recipe, seed=seed)
    a, b, c = (weights(tmp_path / name) for name in "abc")
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_frozen_parts_do_not_train(tmp_path: Path, data: CocoData) -> None:
    network = small_network()
    before = network.state_dict()
    settings = small_settings(norm="frozen", trainable_layers=2)
    recipe = small_recipe(epochs=1, milestones=())
    run(tmp_path / "a", data, network=network, settings=settings, recipe=recipe)
    after = weights(tmp_path / "a")
    prefix = "backbone.body."
    same = {
        key.removeprefix(prefix): torch.equal(value, before[key.removeprefix(prefix)])
        for key, value in after.items()
        if key.startswith(prefix)
    }
    frozen = {key for key, equal in same.items() if equal}
    assert {key for key in same if key.startswith(("stem.", "stages.0."))} <= frozen
    assert "stages.1.entry.projections.0.weight" not in frozen
    assert any(key.startswith("stages.2.") for key in set(same) - frozen)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_stops_before_the_step(
    cut: Path, data: CocoData, value: float
) -> None:
    run_folder = RunFolder(cut)
    state = run_folder.read_checkpoint()
    name = "roi_heads.box_predictor.cls_score.bias"
    state["model"][name].fill_(value)
    run_folder.write_checkpoint(state)
    before = run_folder.checkpoint_path.read_bytes()
    with pytest.raises(RunError, match="loss is (nan|inf) in epoch 2, step 1 of 2"):
        run(cut, data, resume=True)
    assert run_folder.checkpoint_path.read_bytes() == before
    assert not run_folder.result_path.exists()


def test_a_checkpoint_of_something_else_is_refused(cut: Path, data: CocoData) -> None:
    folder = RunFolder(cut)
    good = folder.read_checkpoint()
    for change, message in (
        ({"history": [{"epoch": "1"}]}, "something else than numbers"),
        ({"history": []}, "0 epochs of 2"),
        ({"optimizer": {}}, "must be a checkpoint of this run"),
        ({"model": {}}, "must hold the weights of this network"),
    ):
        folder.write_checkpoint(good | change)
        with pytest.raises(RunError, match=message):
            run(cut, data, resume=True)


def test_categories_must_be_the_same(tmp_path: Path, data: CocoData) -> None:
    content = small_content(2)
    content["categories"][0]["name"] = "pink"
    from ddw_graph.detection.coco import coco_data

    other = coco_data(*write_data(tmp_path / "other", content))
    with pytest.raises(DataError, match="where number 3 is 'red', got 'pink'"):
        train_detector(
            small_network(),
            small_settings(),
            data,
            other,
            RECIPE,
            seed=0,
            folder=tmp_path / "run",
            started=False,
        )
    assert not (tmp_path / "run").exists()


def test_a_backbone_that_does_not_suit_leaves_no_folder(
    tmp_path: Path, data: CocoData
) -> None:
    settings = small_settings(levels=(4, 16))
    with pytest.raises(ModelError, match="levels must be among"):
        run(tmp_path / "run", data, settings=settings)
    assert not (tmp_path / "run").exists()


def test_processes_share_the_images(data: CocoData) -> None:
    from ddw_graph.detection.detector import Detector
    from tests.detection.small import CATEGORIES

    detector = Detector(small_network(), CATEGORIES, small_settings(score=0.0))
    alone = list(found_in_each(detector, data))
    parts = [list(found_in_each(detector, data, world=World(r, 4))) for r in range(4)]
    for place, each in enumerate(alone):
        shared = parts[place % 4][place // 4]
        assert torch.equal(shared.boxes["boxes"], each.boxes["boxes"])


def test_the_presets_fall_where_they_should() -> None:
    recipe = detection_recipe("1x")
    assert (recipe.batch_size, recipe.learning_rate) == (16, 0.02)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.epochs, recipe.warmup_steps) == (12, 1000)
    rates = [recipe.learning_rate_at(10_000, epoch) for epoch in range(12)]
    assert rates == pytest.approx([0.02] * 8 + [0.002] * 3 + [0.0002])
    warm = [recipe.learning_rate_at(step, 0) for step in (0, 500, 1000)]
    assert warm == pytest.approx([0.00002, 0.01001, 0.02])
    unreached = [detection_recipe("1x", epochs=n).unreached for n in (8, 11, 12)]
    assert unreached == [(8, 11), (11,), ()]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"milestones": (3, 2)}, r"rising and at least 1, got \(3, 2\)"),
        ({"warmup_factor": 0.0}, "warmup_factor must be in"),
        ({"learning_rate": float("inf")}, r"learning_rate must be in \(0, 1e30\]"),
        ({"learning_rate": 1e45}, r"learning_rate must be in \(0, 1e30\]"),
        ({"colour": 1}, "no colour"),
    ],
)
def test_recipes_refuse_what_is_out_of_range(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        detection_recipe("1x", **changes)
    with pytest.raises(RunError, match="one of 1x, small, got '3x'"):
        detection_recipe("3x")
