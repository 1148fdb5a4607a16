"""A recipe's settings do what they say, and the presets are the documented ones."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.models import create_model, from_config
from ddw_graph.training.augmentation import Augmentation, mixed
from ddw_graph.training.average import moving_average
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.keys import Key
from ddw_graph.training.parameter_groups import parameter_groups
from ddw_graph.training.recipe import RECIPES, Recipe, recipe_named
from ddw_graph.training.run import Run
from ddw_graph.training.run_folder import RunFolder
from tests.training.runs import (
    EVERYTHING,
    Stop,
    StopAt,
    run,
    run_in_place,
)
from tests.training.small import small_config, small_data


@pytest.mark.parametrize("warmup", [0, 3])
@pytest.mark.parametrize("step_epochs", [1, 2])
def test_steps_down_as_torchs_scheduler_does(warmup: int, step_epochs: int) -> None:
    recipe = Recipe(
        epochs=12,
        learning_rate=0.2,
        warmup_epochs=warmup,
        schedule="step",
        gamma=0.9,
        step_epochs=step_epochs,
    )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.2)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_epochs, gamma=0.9)
    rates = [recipe.learning_rate_at(step, 12 * 7) for step in range(12 * 7)]
    rise = [0.2 * (step + 1) / (7 * warmup) for step in range(7 * warmup)]
    assert rates[: 7 * warmup] == pytest.approx(rise)
    for epoch in range(warmup, 12):
        (rate,) = scheduler.get_last_lr()
        assert rates[7 * epoch : 7 * epoch + 7] == pytest.approx([rate] * 7)
        optimizer.step()
        scheduler.step()


def test_steps_down_at_the_end_of_whole_epochs() -> None:
    recipe = Recipe(epochs=4, warmup_epochs=0.5, schedule="step", gamma=0.5)
    rates = [recipe.learning_rate_at(step, 16) for step in range(16)]
    expected = [0.05, 0.1, *[0.1] * 6, *[0.05] * 4, *[0.025] * 4]
    assert rates == pytest.approx(expected)


def test_normalisation_has_a_weight_decay_of_its_own() -> None:
    model = from_config(small_config())
    plain = parameter_groups(model, Recipe(weight_decay=0.1))
    groups = parameter_groups(model, Recipe(weight_decay=0.1, norm_weight_decay=0.02))
    assert [group["weight_decay"] for group in plain] == [0.1, 0.1, 0]
    assert [group["weight_decay"] for group in groups] == [0.1, 0.02, 0.1, 0]
    names = {id(p): name for name, p in model.named_parameters()}
    norms = {
        f"{name}.{which}"
        for name, module in model.named_modules()
        if "BatchNorm" in type(module).__name__
        for which in ("weight", "bias")
    }
    assert norms and {names[id(p)] for p in groups[1]["params"]} == norms
    rest = [names[id(p)] for p in groups[0]["params"]]
    assert rest == [
        names[id(p)] for p in plain[0]["params"] if names[id(p)] not in norms
    ]
    for group, twin in zip(groups[2:], plain[1:], strict=True):
        assert {id(p) for p in group["params"]} == {id(p) for p in twin["params"]}


def test_what_does_not_train_is_in_no_group() -> None:
    model = create_model("randwire_tiny", n=2, channels=4, edges="dynamic")
    model.stem.requires_grad_(False)
    groups = parameter_groups(model, recipe_named("small"))
    found = {id(each) for group in groups for each in group["params"]}
    assert found == {id(each) for each in model.parameters() if each.requires_grad}


def test_an_average_is_the_one_computed_by_hand() -> None:
    model = from_config(small_config())
    whole = [b for b in model.buffers() if not b.is_floating_point()]
    for buffer in whole:  # batches that were counted before
        buffer.fill_(9)
    average = moving_average(model, 0.5)
    assert any(buffer.max() > 3 for buffer in whole)
    kept: dict[str, torch.Tensor] = {}
    for update in range(12):
        # As much as is usual late in a training, and less before.
        decay = min(0.5, (1 + update) / (10 + update))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model.train()(torch.randn(6, 1, 8, 8))
        average.update_parameters(model)
        for name, now in model.state_dict().items():
            if not update or not now.is_floating_point():
                kept[name] = now.clone()
            else:
                kept[name] = decay * kept[name] + (1 - decay) * now
    torch.testing.assert_close(dict(average.module.state_dict()), kept)
    for own, buffer in zip(average.module.buffers(), model.buffers(), strict=True):
        assert own.is_floating_point() or torch.equal(own, buffer)


class Watch(StopAt):
    """Keeps a network's parameters after each step."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(0, 0)
        self.model = model
        self.seen: dict[tuple[int, int], dict[str, torch.Tensor]] = {}

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        parameters = dict(self.model.named_parameters())
        self.seen[epoch, step] = {k: p.detach().clone() for k, p in parameters.items()}


def test_the_average_follows_its_interval_and_is_what_is_tested(tmp_path: Path) -> None:
    recipe = replace(EVERYTHING, epochs=3)
    model, train = run_in_place(tmp_path / "a", recipe=recipe)
    watch = Watch(model)
    with pytest.raises(Stop):
        train(listeners=[watch, StopAt(3, 3)])
    # 3 steps an epoch: the first and the last update. In the warm-up, epoch 1, they
    # copy, so the first update after it does too.
    expected = watch.seen[2, 1]
    for update, place in enumerate([(2, 3), (3, 1), (3, 3)], start=1):
        decay = min(0.7, (1 + update) / (10 + update))
        now = watch.seen[place]
        expected = {k: decay * expected[k] + (1 - decay) * now[k] for k in now}
    model, train = run_in_place(tmp_path / "a", recipe=recipe)
    run = train(resume=True)
    found = run.network()
    kept = {name: found.state_dict()[name] for name in expected}
    torch.testing.assert_close(kept, expected)
    torch.testing.assert_close(
        dict(model.named_parameters()), watch.seen[3, 3], rtol=0, atol=0
    )
    images = small_data(24, 12).test_inputs()
    assert evaluate(found, images).loss == run.result["test_loss"]
    assert evaluate(model, images).loss != run.result["test_loss"]


def test_the_average_of_a_short_training_is_not_its_start(tmp_path: Path) -> None:
    recipe = recipe_named("small", epochs=6, batch_size=12, ema_decay=0.9999)
    result = run(tmp_path / "a", data=small_data(), recipe=recipe)
    assert result["test_accuracy"] > 0.8


def test_a_checkpoint_without_the_trained_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stop):
        run(tmp_path / "a", recipe=EVERYTHING, listeners=[StopAt(2, 1)])
    folder = RunFolder(tmp_path / "a")
    state = folder.read_checkpoint()
    del state["trained"]
    folder.write_checkpoint(state)
    with pytest.raises(RunError, match="must be a checkpoint of this run: 'trained'"):
        run(tmp_path / "a", recipe=EVERYTHING, resume=True)


def test_a_mixed_image_is_right_where_its_larger_part_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So slow that each step meets the same weights.
    recipe = recipe_named("small", epochs=1, batch_size=12, learning_rate=1e-12)
    history = {}
    for kind in ("hard", "soft"):

        def mixed(
            x: torch.Tensor,
            labels: torch.Tensor,
            classes: int,
            *_: Any,
            kind: str = kind,
            **__: Any,
        ) -> tuple[torch.Tensor, torch.Tensor]:
            larger = labels.roll(1)
            if kind == "hard":
                return x, larger
            own, other = (nn.functional.one_hot(y, classes) for y in (labels, larger))
            return x, 0.4 * own + 0.6 * other

        monkeypatch.setattr("ddw_graph.training.classification.mixed", mixed)
        run(tmp_path / kind, recipe=recipe)
        (history[kind],) = Run(tmp_path / kind).log
    assert 0 < history["hard"]["train_accuracy"] < 1
    assert history["soft"]["train_accuracy"] == history["hard"]["train_accuracy"]
    assert history["soft"]["train_loss"] != history["hard"]["train_loss"]


def test_training_images_only_take_what_the_recipe_asks_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Augmentation | None] = []
    inputs = ImageData.train_inputs

    def noted(data: ImageData, augmentation: Augmentation | None = None) -> Any:
        asked.append(augmentation)
        return inputs(data, augmentation)

    monkeypatch.setattr(ImageData, "train_inputs", noted)
    run(tmp_path / "a", recipe=replace(EVERYTHING, epochs=1))
    run(tmp_path / "b", recipe=recipe_named("small", epochs=1))
    assert asked == [Augmentation(True, 0.5), None]


def test_training_mixes_by_the_recipes_alphas_and_the_key_of_the_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[Any, ...]] = []

    def noted(
        x: Any, labels: Any, classes: int, key: Key, step: int, **alphas: Any
    ) -> Any:
        asked.append((classes, key, step, alphas))
        return mixed(x, labels, classes, key, step, **alphas)

    monkeypatch.setattr("ddw_graph.training.classification.mixed", noted)
    run(tmp_path / "a", recipe=replace(EVERYTHING, epochs=2), seed=7)
    alphas = {"mixup": 0.4, "cutmix": 1.0}
    expected = [
        (3, Key(7, epoch), step, alphas) for epoch in (0, 1) for step in range(3)
    ]
    assert asked == expected


DOCUMENTED = Path(__file__).parents[2] / "docs" / "recipes.md"
WORDS = {
    "same": None,
    "none": None,
    "yes": True,
    "no": False,
    "cosine": "cosine",
    "step": "step",
}


def documented() -> dict[str, dict[str, Any]]:
    """Returns what the table of docs/recipes.md says, preset by preset."""
    lines = DOCUMENTED.read_text().splitlines()
    rows = [
        [c.strip() for c in line.strip("|").split("|")] for line in lines if "|" in line
    ]
    names = rows[0][1:]
    table: dict[str, dict[str, Any]] = {name: {} for name in names}
    for setting, *cells in rows[2:]:
        for name, cell in zip(names, cells, strict=True):
            if cell == "-":
                continue
            value, source = cell.split()
            assert source in {"P", "R", "T", "O"}
            told = WORDS.get(value, value)
            if value[0].isdigit():
                told = json.loads(value)
            table[name][setting.strip("`")] = told
    return table


def test_the_documented_presets_are_those_of_the_code() -> None:
    table = documented()
    assert list(table) == list(RECIPES)
    for name, recipe in RECIPES.items():
        without_effect = set()
        if recipe.schedule == "cosine":
            without_effect |= {"gamma", "step_epochs"}
        else:
            without_effect |= {"final_rate"}
        if recipe.optimizer == "sgd":
            without_effect |= {"beta2"}
        if not recipe.ema_decay:
            without_effect |= {"ema_interval"}
        if recipe.budget is None:
            without_effect |= {"budget_weight"}
        found = asdict(recipe)
        told = {key: value for key, value in found.items() if key not in without_effect}
        assert table[name] == told


def test_the_presets_are_what_their_sources_state() -> None:
    imagenet = RECIPES["imagenet"]
    assert (imagenet.momentum, imagenet.batch_size) == (0.9, 1024)
    assert imagenet.learning_rate == 0.1 * imagenet.batch_size / 256
    assert RECIPES["imagenet_250"] == replace(imagenet, epochs=250)
    mobilenet = RECIPES["mobilenet"]
    assert mobilenet.batch_size == 8 * 32
    assert mobilenet.learning_rate_at(299, 300) == pytest.approx(0.045 * 0.98**299)
    efficientnet = RECIPES["efficientnet"]
    assert efficientnet.batch_size == 8 * 128
    adjusted = 1 - (1 - 0.99998) * 1024 * efficientnet.ema_interval / 600
    assert efficientnet.ema_decay == pytest.approx(adjusted, abs=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"rand_augment": 9, "trivial_augment": True},
            "rand_augment must be None without augment",
        ),
        (
            {"augment": False, "trivial_augment": True},
            "trivial_augment must be False without augment, got True",
        ),
        (
            {"augment": False, "random_erasing": 0.1},
            "random_erasing must be 0 without augment, got 0.1",
        ),
        ({"epochs": 2, "warmup_epochs": 3.0}, "warmup_epochs must be in .*, got 3.0"),
    ],
)
def test_names_the_setting_that_it_rejects(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        recipe_named("randwire", **changes)
