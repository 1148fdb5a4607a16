"""Detectors learn, and the loop holds for them what it holds for classifiers."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

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
    detector = kept_network(tmp_path / "run", kind=Detector)
    figures = coco_figures(ten, coco_results(detector, ten))
    assert figures == {name: result[name] for name in FIGURES}


@pytest.mark.full
def test_the_log_has_the_terms_of_the_loss(tmp_path: Path, data: CocoData) -> None:
    done = run(tmp_path / "run", data)
    terms = ("classifier", "box_reg", "objectness", "rpn_box_reg")
    for row in done.log:
        total = sum(row[f"train_{name}"] for name in terms)
        assert row["train_loss"] == pytest.approx(total)
        assert {"AP", "AP50", "learning_rate", "data_seconds"} <= set(row)
    config = done.config
    assert config["task"] == "detection"
    assert config["recipe"]["milestones"] == [1] and config["seed"] == 0
    assert config["data"]["train"]["objects"] == 12
    assert config["model"]["settings"]["norm"] == "batch"
    assert done.result == run(tmp_path / "run", data, resume=True).result
    with pytest.raises(RunError, match=r"recipe\.epochs"):
        run(tmp_path / "run", data, recipe=small_recipe(epochs=4), resume=True)


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


@FULL
def test_a_batch_in_two_parts_has_nearly_the_same_loss(
    tmp_path: Path, data: CocoData
) -> None:
    losses = [
        run(
            tmp_path / name,
            data,
            network=small_network(),
            settings=small_settings(norm="frozen"),
            execution=execution,
        ).log[0]["train_loss"]
        for name, execution in (
            ("one", Execution()),
            ("two", Execution(accumulate=2)),
            ("half", Execution(precision="bfloat16", channels_last=True)),
        )
    ]
    assert len(set(losses)) == 3
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=0.2)


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


def test_half_of_the_training_images_are_flipped(data: CocoData) -> None:
    flips = Detection(small_detector(), data, data, RECIPE).train.flip
    still = Detection(small_detector(), data, data, small_recipe(flip=False)).train.flip
    assert flips and not still and not data.flip


def test_compiling_is_refused(tmp_path: Path, data: CocoData) -> None:
    with pytest.raises(RunError, match="compile must be off"):
        run(tmp_path / "run", data, execution=Execution(compile=True))
    assert not (tmp_path / "run").exists()


@pytest.mark.full
def test_frozen_parts_do_not_train(tmp_path: Path, data: CocoData) -> None:
    network = small_network()
    before = network.state_dict()
    settings = small_settings(norm="frozen", frozen_layers=2)
    recipe = small_recipe(epochs=1, milestones=())
    done = run(tmp_path / "a", data, network=network, settings=settings, recipe=recipe)
    body: nn.Module = done.network().backbone.body
    same = {k: torch.equal(v, before[k]) for k, v in body.state_dict().items()}
    frozen = {key for key, equal in same.items() if equal}
    assert {key for key in same if key.startswith(("stem.", "stages.0."))} <= frozen
    assert "stages.1.entry.projections.0.weight" not in frozen
    assert any(key.startswith("stages.2.") for key in set(same) - frozen)


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"milestones": (3, 2)}, r"rising, got \(3, 2\)"),
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
