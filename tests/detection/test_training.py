"""Detectors learn, and the loop holds for them what it holds for classifiers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ddw_graph.detection.coco import CocoData, coco_data
from ddw_graph.detection.detector import Detector
from ddw_graph.detection.evaluation import coco_results
from ddw_graph.detection.figures import FIGURES, coco_figures
from ddw_graph.detection.recipe import DetectionRecipe, detection_recipe
from ddw_graph.detection.task import Detection, train_detector
from ddw_graph.errors import DataError, RunError, UnfinishedWarning
from ddw_graph.training.execution import Execution
from ddw_graph.training.run import Run, kept_network
from ddw_graph.training.world import World
from tests.detection.small import (
    CATEGORIES,
    RECIPE,
    small_content,
    small_data,
    small_detector,
    small_network,
    small_recipe,
    small_settings,
    write_data,
)
from tests.training.runs import Stop, StopAt

FULL = pytest.mark.full


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> CocoData:
    return small_data(tmp_path_factory.mktemp("data"), images=6)


def run(
    folder: Path,
    data: CocoData,
    *,
    recipe: DetectionRecipe = RECIPE,
    network: Any = None,
    settings: Any = None,
    **options: Any,
) -> Run:
    torch.manual_seed(0)
    detector = Detector(
        network or small_network(drop_path=0.2),
        CATEGORIES,
        settings or small_settings(),
    )
    return train_detector(
        detector, data, data, recipe, seed=0, folder=folder, **options
    )


@FULL
def test_finds_all_of_ten_images_that_it_has_learned(tmp_path: Path) -> None:
    ten = small_data(tmp_path / "data", images=10)
    recipe = small_recipe(
        epochs=14, milestones=(11,), batch_size=2, learning_rate=0.02, flip=False
    )
    done = run(tmp_path / "run", ten, recipe=recipe, network=small_network())
    result, log = done.result, done.log
    assert result is not None and result["AP50"] > 0.9 and result["synthetic"] is True
    assert log[-1]["train_loss"] < log[0]["train_loss"] / 3
    terms = ("classifier", "box_reg", "objectness", "rpn_box_reg")
    for row in log:
        assert row["train_loss"] == pytest.approx(sum(row[f"train_{n}"] for n in terms))
    detector = kept_network(tmp_path / "run", kind=Detector)
    figures = coco_figures(ten, coco_results(detector, ten))
    assert figures == {name: result[name] for name in FIGURES}


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {}),
        pytest.param({"ema_decay": 0.5}, {"checkpoint_steps": 1}, marks=FULL),
        pytest.param({}, {"execution": Execution(accumulate=2)}, marks=FULL),
        pytest.param({}, {"execution": Execution(precision="bfloat16")}, marks=FULL),
        pytest.param({}, {"execution": Execution(precision="float16")}, marks=FULL),
    ],
    ids=str,
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, data: CocoData, changes: dict[str, Any], options: dict[str, Any]
) -> None:
    options = {"recipe": replace(RECIPE, **changes), **options}
    whole = run(tmp_path / "whole", data, **options)
    with pytest.raises(Stop):
        run(tmp_path / "cut", data, listeners=[StopAt(2, 2)], **options)
    with pytest.warns(UnfinishedWarning, match="after 1 epoch"):
        kept_network(tmp_path / "cut", kind=Detector)
    torch.randn(5)  # what is drawn in between must not matter
    cut = run(tmp_path / "cut", data, resume=True, **options)
    first, second = (
        json.loads((done.path / "result.json").read_text()) | {"train_seconds": 0}
        for done in (whole, cut)
    )
    assert first == second and len(first["model_sha256"]) == 64
    config = cut.config
    assert config["task"] == "detection" and config["seed"] == 0
    assert config["data"]["train"]["objects"] == 12
    with pytest.raises(RunError, match=r"recipe\.epochs"):
        run(tmp_path / "cut", data, recipe=small_recipe(epochs=4), resume=True)


def test_samples_that_stand_in_count_nothing(data: CocoData) -> None:
    task = Detection(small_detector(), data, data, RECIPE)
    samples = [task.train[0], task.train[1]]
    batch = task.collate(samples)
    torch.manual_seed(0)
    one = task.loss(task.network, batch, 1)
    torch.manual_seed(0)
    alone = task.loss(task.network, task.collate(samples[:1]), 1)
    assert one["loss"] == alone["loss"] and one["loss"] > 0
    none = task.loss(task.network, batch, 0)
    assert not any(value.detach().any() for value in none.values())
    torch.autograd.backward(none["objective"])
    parameters = [p for p in task.network.parameters() if p.requires_grad]
    assert all(p.grad is not None and not p.grad.any() for p in parameters)


def test_flips_follow_the_recipe_and_compiling_is_refused(
    tmp_path: Path, data: CocoData
) -> None:
    for flip in (True, False):
        recipe = small_recipe(flip=flip)
        assert Detection(small_detector(), data, data, recipe).train.flip == flip
    assert not data.flip
    with pytest.raises(RunError, match="compile must be off"):
        run(tmp_path / "run", data, execution=Execution(compile=True))
    assert not (tmp_path / "run").exists()


def test_categories_must_be_the_detectors(tmp_path: Path, data: CocoData) -> None:
    content = small_content(2)
    content["categories"][0]["name"] = "pink"
    other = coco_data(*write_data(tmp_path / "other", content))
    for train, val in ((data, other), (other, data)):
        with pytest.raises(DataError, match="got 3 'pink' in place of 3 'red'"):
            train_detector(
                small_detector(), train, val, RECIPE, seed=0, folder=tmp_path / "run"
            )
    assert not (tmp_path / "run").exists()


def test_processes_share_the_images(
    data: CocoData, monkeypatch: pytest.MonkeyPatch
) -> None:
    detector = small_detector(score=0.0)
    alone = coco_results(detector, data)
    assert alone and {each["image_id"] for each in alone} <= set(range(1, 7))
    parts: list[list[dict[str, Any]]] = []

    def gather(into: list[Any], own: list[dict[str, Any]]) -> None:
        parts.append(own)
        into[:] = [own] + [[]] * (len(into) - 1)

    monkeypatch.setattr("torch.distributed.all_gather_object", gather)
    shared = [
        r
        for rank in range(4)
        for r in coco_results(detector, data, world=World(rank, 4))
    ]
    assert sorted(map(json.dumps, shared)) == sorted(map(json.dumps, alone))
    assert all(parts)
    assert coco_figures(data, shared) == coco_figures(data, alone)


def test_the_presets_fall_where_they_should() -> None:
    recipe = detection_recipe("1x")
    assert (recipe.batch_size, recipe.learning_rate) == (16, 0.02)
    assert (recipe.momentum, recipe.weight_decay) == (0.9, 1e-4)
    assert (recipe.epochs, recipe.warmup_steps) == (12, 1000)
    rates = [recipe.learning_rate_at(e * 7500 + 1000, 90_000) for e in range(12)]
    assert rates == pytest.approx([0.02] * 8 + [0.002] * 3 + [0.0002])
    ends = [recipe.learning_rate_at(step, 90_000) for step in (59_999, 60_000)]
    assert ends == pytest.approx([0.02, 0.002])
    warm = [recipe.learning_rate_at(step, 90_000) for step in (0, 500, 1000)]
    assert warm == pytest.approx([0.00002, 0.01001, 0.02])
    unreached = [detection_recipe("1x", epochs=n).unreached for n in (8, 11, 12)]
    assert unreached == [(8, 11), (11,), ()]


def test_recipes_refuse_what_is_out_of_range() -> None:
    with pytest.raises(RunError, match=r"rising, got \(3, 2\)"):
        detection_recipe("1x", milestones=(3, 2))
    with pytest.raises(RunError, match="one of 1x, small, got '3x'"):
        detection_recipe("3x")
