"""Recipes: how a network is trained."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.settings import as_json, check_settings, preset, setting

OPTIMIZERS = ("sgd", "adamw")

SCHEDULES = ("cosine", "step")
"""How the learning rate falls after the warm-up."""

NEEDS: dict[str, tuple[Callable[[Mapping[str, Any]], bool], tuple[str, ...]]] = {
    "augment": (
        lambda values: values["augment"],
        ("trivial_augment", "rand_augment", "random_erasing"),
    ),
    "schedule=step": (
        lambda values: values["schedule"] == "step",
        ("gamma", "step_epochs"),
    ),
    "ema_decay": (lambda values: values["ema_decay"] > 0, ("ema_interval",)),
    "budget": (lambda values: values["budget"] is not None, ("budget_weight",)),
}
"""What must be on for settings to have an effect, and those settings: without it they
keep their default.

Settings have their effect or are refused: nothing is turned on here.
"""


@dataclass(frozen=True)
class BaseRecipe(ABC):
    """An optimizer and its settings: what the recipes of all tasks have in common.

    Every field holds its help, rule and default: see ``settings_of``.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int = setting(100, "Passes over the training samples.", "[1, inf)")
    batch_size: int = setting(
        256, "Samples in a step, over all processes.", "[1, 2147483648)"
    )
    learning_rate: float = setting(
        0.1, "Learning rate at the end of the warm-up.", "(0, 1e30]"
    )
    optimizer: str = setting("sgd", "sgd (with momentum) or adamw.", OPTIMIZERS)
    momentum: float = setting(0.9, "Momentum of SGD, or beta 1 of AdamW.", "[0, 1)")
    beta2: float = setting(
        0.999, "Of AdamW: decay of the mean of squared gradients.", "[0, 1)"
    )
    weight_decay: float = setting(
        5e-5,
        "Weight decay. Thresholds, router biases and edge logits have none; with "
        "AdamW, only parameters with two axes or more have it.",
        "[0, inf)",
    )
    norm_weight_decay: float | None = setting(
        None, "Weight decay of normalisation; by default weight_decay.", "[0, inf)"
    )
    router_lr: float = setting(
        1.0,
        "Learning rate of the edge weights, as a multiple of learning_rate.",
        "[0, inf)",
    )
    warmup_epochs: float = setting(
        0.0, "Length of the linear warm-up; may be a fraction.", "[0, inf)"
    )
    clip_norm: float = setting(
        0.0, "Largest norm of all gradients together; 0 for no limit.", "[0, inf)"
    )
    ema_decay: float = setting(
        0.0,
        "Decay of the average of the weights, which is then evaluated; 0 for no "
        "average.",
        "[0, 1)",
    )
    ema_interval: int = setting(
        1, "Steps between two updates of the average.", "[1, inf)"
    )

    def __post_init__(self) -> None:
        """Checks every value, and those that depend on others."""
        check_settings(self, RunError)
        for name, rule, holds in self.rules():
            if not holds:
                raise RunError(f"{name} must be {rule}, got {getattr(self, name)!r}")

    def rules(self) -> list[tuple[str, str, bool]]:
        """Returns the rules between values: name, rule, and whether it holds."""
        return [
            ("warmup_epochs", "in [0, epochs]", self.warmup_epochs <= self.epochs),
        ]

    @abstractmethod
    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step, of so many in the whole training."""

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        return as_json(self)


@dataclass(frozen=True)
class Recipe(BaseRecipe):
    """How a network is trained to classify images or to predict text.

    Values that change images must be off for a text. See ``BaseRecipe`` for the rest.

    Raises:
        RunError: If a value is out of range.

    Source:
        TrivialAugment, arXiv:2103.10158; RandAugment, arXiv:1909.13719; random erasing,
        arXiv:1708.04896; MixUp, arXiv:1710.09412; CutMix, arXiv:1905.04899.
    """

    label_smoothing: float = setting(
        0.1, "Share of the target that all classes divide.", "[0, 1]"
    )
    augment: bool = setting(True, "Flip and shift training images.")
    schedule: str = setting(
        "cosine",
        "cosine, to final_rate and changed at each step; or step, times gamma after "
        "each step_epochs epochs that follow the warm-up.",
        SCHEDULES,
    )
    final_rate: float = setting(
        0.0,
        "Learning rate at the end of the schedule cosine, as a share of learning_rate.",
        "[0, 1]",
    )
    gamma: float = setting(0.98, "Factor of the schedule step.", "(0, 1]")
    step_epochs: int = setting(
        1, "Epochs between two factors of the schedule step.", "[1, inf)"
    )
    trivial_augment: bool = setting(
        False, "Apply one change of TrivialAugmentWide to each image; needs augment."
    )
    rand_augment: int | None = setting(
        None,
        "Apply two changes of RandAugment of this magnitude to each image; needs "
        "augment, without trivial_augment.",
        "[0, 30]",
    )
    random_erasing: float = setting(
        0.0,
        "Probability that a rectangle of an image is erased; needs augment.",
        "[0, 1]",
    )
    mixup: float = setting(
        0.0,
        "Alpha of MixUp; 0 for none. With cutmix each batch draws one of them.",
        "[0, inf)",
    )
    cutmix: float = setting(0.0, "Alpha of CutMix; 0 for none.", "[0, inf)")
    budget: float | None = setting(
        None,
        "Pull the mean of the MACs that images ask for toward this share of all; needs "
        "dynamic edges with gate=hard.",
        "(0, 1]",
    )
    budget_weight: float = setting(
        10.0,
        "Weight of the squared distance from the budget in the loss.",
        "[0, inf)",
    )

    def rules(self) -> list[tuple[str, str, bool]]:
        """Returns the rules between values: name, rule, and whether it holds."""
        defaults = {each.name: each.default for each in fields(self)}
        return [
            *super().rules(),
            *(
                (
                    name,
                    f"{defaults[name]} without {needed}",
                    is_on(vars(self)) or getattr(self, name) == defaults[name],
                )
                for needed, (is_on, names) in NEEDS.items()
                for name in names
            ),
            (
                "rand_augment",
                "None with trivial_augment",
                self.rand_augment is None or not self.trivial_augment,
            ),
        ]

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step.

        Args:
            step: Steps made so far.
            steps: Steps of the whole training.

        Example:
            >>> Recipe(epochs=4, warmup_epochs=1).learning_rate_at(4, steps=40)
            0.05
        """
        warmup = round(steps * self.warmup_epochs / self.epochs)
        if step < warmup:
            return self.learning_rate * (step + 1) / warmup
        if self.schedule == "step":
            # An epoch that ends within the warm-up, or holds its end, does not count.
            epoch = step * self.epochs // steps - math.ceil(self.warmup_epochs)
            return self.learning_rate * self.gamma ** (
                max(0, epoch) // self.step_epochs
            )
        done = (step - warmup) / max(1, steps - warmup)
        share = 0.5 * (1 + math.cos(math.pi * done))
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * share)


IMAGENET = Recipe(
    epochs=100,
    batch_size=1024,
    learning_rate=0.4,
    weight_decay=1e-4,
    warmup_epochs=5,
    label_smoothing=0.0,
)
RECIPES = {
    "randwire": Recipe(),
    "imagenet": IMAGENET,
    "imagenet_250": replace(IMAGENET, epochs=250),
    "mobilenet": Recipe(
        epochs=300,
        batch_size=256,
        learning_rate=0.045,
        weight_decay=4e-5,
        label_smoothing=0.0,
        schedule="step",
        gamma=0.98,
        step_epochs=1,
    ),
    "efficientnet": Recipe(
        epochs=600,
        batch_size=1024,
        learning_rate=0.5,
        weight_decay=2e-5,
        norm_weight_decay=0.0,
        warmup_epochs=5,
        trivial_augment=True,
        random_erasing=0.1,
        mixup=0.2,
        cutmix=1.0,
        # The reference asks for 0.99998 and makes it independent of batch and epochs:
        # 1 - (1 - 0.99998) * batch * interval / epochs.
        ema_decay=0.998908,
        ema_interval=32,
    ),
    "small": Recipe(
        epochs=5,
        batch_size=32,
        learning_rate=0.05,
        weight_decay=5e-4,
        warmup_epochs=0.5,
        label_smoothing=0.0,
        augment=False,
    ),
    "fine_tune": Recipe(
        epochs=4,
        batch_size=32,
        learning_rate=0.01,
        weight_decay=5e-4,
        label_smoothing=0.0,
        augment=False,
        router_lr=0.1,
    ),
    "vit": Recipe(
        epochs=20,
        batch_size=64,
        learning_rate=1e-3,
        optimizer="adamw",
        weight_decay=0.05,
        warmup_epochs=1,
        label_smoothing=0.0,
        clip_norm=1.0,
    ),
    "language": Recipe(
        epochs=5,
        batch_size=16,
        learning_rate=1e-3,
        optimizer="adamw",
        beta2=0.95,
        weight_decay=0.1,
        warmup_epochs=0.25,
        final_rate=0.1,
        label_smoothing=0.0,
        clip_norm=1.0,
        augment=False,
    ),
}
"""The presets; ``docs/recipes.md`` gives the source of each value.

``randwire``: Xie et al. 2019, arXiv:1904.01569, section 4, for 100 epochs (they also
train for 250). ``imagenet``: DDW's section 4.1, which states SGD, momentum 0.9 and a
total batch of 1024; ``imagenet_250``: the same for Table 5; what they leave open is
ours. ``mobilenet``: torchvision's reference for MobileNetV2. ``efficientnet``:
torchvision's newer recipe, without repeated augmentation and with one image size for
training and testing. ``small``: ours, for images of 8 to 64 px. ``vit``: ours, for
Transformers on such images, after Touvron et al. 2021, arXiv:2012.12877. ``language``:
ours, for small language models, with the settings of Brown et al. 2020,
arXiv:2005.14165, appendix B.
"""


DEFAULT_RECIPES = {"classification": "small", "language": "language"}
"""The name of the preset of a task where none is named."""


def recipe_named(name: str, **changes: Any) -> Recipe:
    """Returns a preset with some of its values changed; None changes nothing.

    Where a change turns off what a value of the preset needs, that value is back at its
    default.

    Raises:
        RunError: If there is no such preset or value, or a value is out of range.

    Example:
        >>> recipe_named("randwire", epochs=250).epochs
        250
        >>> recipe_named("efficientnet", ema_decay=0, ema_interval=None).ema_interval
        1
    """
    if name in RECIPES:
        given = {key: value for key, value in changes.items() if value is not None}
        values, defaults = {**vars(RECIPES[name]), **given}, vars(Recipe())
        for is_on, dependent in NEEDS.values():
            if not is_on(values):
                given = {**{key: defaults[key] for key in dependent}, **given}
        changes = given
    return preset(RECIPES, name, changes, called="recipe", error=RunError)
