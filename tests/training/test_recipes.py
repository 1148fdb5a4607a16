"""A recipe's settings have their effect, and the presets are the documented ones."""

import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.models import from_config
from ddw_graph.nn.edge_weights import EdgeWeights
from ddw_graph.training.average import moving_average
from ddw_graph.training.classification import Classification
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.parameter_groups import parameter_groups
from ddw_graph.training.recipe import NEEDS, RECIPES, Recipe, recipe_named
from tests.training.runs import EVERYTHING, Stop, StopAt, run, run_in_place
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


@pytest.mark.parametrize("final", [0.0, 0.1])
def test_cosine_warms_up_and_falls_to_a_share_of_the_rate(final: float) -> None:
    recipe = Recipe(epochs=10, learning_rate=0.2, warmup_epochs=1, final_rate=final)
    rates = [recipe.learning_rate_at(step, 100) for step in range(101)]
    assert rates[:10] == pytest.approx([0.02 * (step + 1) for step in range(10)])
    assert rates[10] == 0.2 and rates[55] == pytest.approx(0.1 * (1 + final))
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.2 * final)


@pytest.mark.parametrize("norm", [None, 0.02])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_each_parameter_has_the_decay_and_the_rate_of_its_kind(
    optimizer: str, norm: float | None
) -> None:
    model = from_config(small_config())
    model.get_submodule("stem.0").requires_grad_(False)
    recipe = Recipe(
        weight_decay=0.1, norm_weight_decay=norm, router_lr=10, optimizer=optimizer
    )
    wanted: dict[torch.Tensor, tuple[float, float]] = {}
    for module in model.modules():
        of_edges = isinstance(module, EdgeWeights)
        for name, each in module.named_parameters(recurse=of_edges):
            if of_edges:
                decays = not name.endswith(("bias", "threshold"))
                wanted[each] = 0.1 * decays, 10.0
            elif each.requires_grad and each not in wanted:
                decay = 0.1 if optimizer == "sgd" or each.ndim > 1 else 0.0
                if norm is not None and isinstance(module, nn.BatchNorm2d):
                    decay = norm
                wanted[each] = decay, 1.0
    groups = parameter_groups(model, recipe)
    found = [
        (each, (group["weight_decay"], group["scale"]))
        for group in groups
        for each in group["params"]
    ]
    assert dict(found) == wanted and len(found) == len(wanted)


def test_an_average_is_the_one_computed_by_hand() -> None:
    model = from_config(small_config())
    for buffer in model.buffers():
        if not buffer.is_floating_point():  # batches that were counted before
            buffer.fill_(9)
    average = moving_average(model, 0.5)
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
    images = small_data(24, 12).test_inputs()
    assert evaluate(found, images).loss == run.result["test_loss"]
    assert evaluate(model, images).loss != run.result["test_loss"]


def test_the_average_of_a_short_training_is_not_its_start(tmp_path: Path) -> None:
    recipe = recipe_named("small", epochs=6, batch_size=12, ema_decay=0.9999)
    result = run(tmp_path / "a", data=small_data(), recipe=recipe)
    assert result["test_accuracy"] > 0.8


def test_an_image_is_right_where_the_larger_part_of_its_target_is() -> None:
    model, (x, labels) = from_config(small_config()), (torch.randn(9, 1, 8, 8), [2] * 9)
    task = Classification(model, small_data(), EVERYTHING)
    own, other = (nn.functional.one_hot(torch.tensor(y), 3) for y in ([0] * 9, labels))
    hard = task.loss(model, (x, torch.tensor(labels)), 9)
    soft = task.loss(model, (x, 0.4 * own + 0.6 * other), 9)
    assert soft["accuracy"] == hard["accuracy"] and soft["loss"] != hard["loss"]


DOCUMENTED = Path(__file__).parents[2] / "docs" / "recipes.md"
WORDS = {"same": None, "none": None, "yes": True, "no": False}


def documented() -> dict[str, dict[str, Any]]:
    """Returns the table of docs/recipes.md, preset by preset."""
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
            read = json.loads(value) if value[0].isdigit() else WORDS.get(value, value)
            table[name][setting.strip("`")] = read
    return table


def test_the_documented_presets_are_those_of_the_code() -> None:
    table = documented()
    assert list(table) == list(RECIPES)
    for name, recipe in RECIPES.items():
        has_effect = {
            "gamma": recipe.schedule == "step",
            "step_epochs": recipe.schedule == "step",
            "final_rate": recipe.schedule == "cosine",
            "beta2": recipe.optimizer == "adamw",
            "ema_interval": recipe.ema_decay > 0,
            "budget_weight": recipe.budget is not None,
        }
        wanted = {k: v for k, v in asdict(recipe).items() if has_effect.get(k, True)}
        assert table[name] == wanted


def test_the_presets_are_what_their_sources_state() -> None:
    imagenet, mobilenet, efficientnet = (
        RECIPES[name] for name in ("imagenet", "mobilenet", "efficientnet")
    )
    assert (imagenet.momentum, imagenet.batch_size) == (0.9, 1024)
    assert imagenet.learning_rate == 0.1 * imagenet.batch_size / 256
    assert RECIPES["imagenet_250"] == replace(imagenet, epochs=250)
    assert mobilenet.batch_size == 8 * 32
    assert mobilenet.learning_rate_at(299, 300) == pytest.approx(0.045 * 0.98**299)
    assert efficientnet.batch_size == 8 * 128
    adjusted = 1 - (1 - 0.99998) * 1024 * efficientnet.ema_interval / 600
    assert efficientnet.ema_decay == pytest.approx(adjusted, abs=1e-6)


OTHER: dict[str, Any] = {
    **{"trivial_augment": True, "rand_augment": 9, "random_erasing": 0.1},
    **{"gamma": 0.5, "step_epochs": 2, "ema_interval": 2, "budget_weight": 2.0},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": math.inf}, r"in \(0, 1e30\], got inf"),
        ({"weight_decay": math.inf}, "finite and at least 0, got inf"),
        ({"batch_size": 2**40}, r"in \[1, 2147483648\), got"),
        ({"budget": math.nan}, r"budget must be in \(0, 1\], got nan"),
        ({"warmup_epochs": 101.0}, r"\[0, epochs\], got 101.0"),
        ({"speed": 2}, "recipe has no speed"),
        ({"rand_augment": 9, "trivial_augment": True}, "None with trivial_augment"),
        *(
            (
                {"augment": False, name: OTHER[name]},
                f"{name} must be .* without {needed}, got {OTHER[name]}",
            )
            for needed, (_, names) in NEEDS.items()
            for name in names
        ),
    ],
)
def test_names_the_setting_that_it_rejects(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        recipe_named("randwire", **changes)
