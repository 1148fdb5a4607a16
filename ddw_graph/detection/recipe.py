"""Recipes of detection."""

from dataclasses import asdict, dataclass
from math import inf
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.presets import preset


@dataclass(frozen=True)
class DetectionRecipe:
    """SGD with momentum, a linear warm-up, and a rate that falls at some epochs.

    Args:
        epochs: Passes over the training images.
        batch_size: Images in a step, those of all processes.
        learning_rate: Learning rate at the end of the warm-up.
        momentum: Of SGD.
        weight_decay: Of every parameter but thresholds, router biases and edge logits.
        warmup_steps: Length of the warm-up.
        warmup_factor: The first rate, as a fraction of ``learning_rate``.
        milestones: Epochs after which the rate is multiplied by ``gamma``, rising.
        gamma: Factor of the rate at each milestone.
        flip: Whether half of the training images are flipped left to right.
        router_lr: Learning rate of the edge weights, in multiples of the others'.
        clip_norm: Largest norm of all gradients together; 0 for no limit.
        ema_decay: Decay of the average of the weights, which is then what is evaluated;
            0 for none.
        ema_interval: Steps between two updates of the average.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 1e-4
    warmup_steps: int = 1000
    warmup_factor: float = 0.001
    milestones: tuple[int, ...] = (8, 11)
    gamma: float = 0.1
    flip: bool = True
    router_lr: float = 1.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    ema_interval: int = 1

    norm_weight_decay = None
    warmup_epochs = 0.0

    def __post_init__(self) -> None:
        """Checks every value."""
        rising = list(self.milestones) == sorted(set(self.milestones))
        for name, rule, holds in (
            ("epochs", "at least 1", self.epochs >= 1),
            ("batch_size", "in [1, 2**31)", 1 <= self.batch_size < 2**31),
            ("learning_rate", "in (0, 1e30]", 0 < self.learning_rate <= 1e30),
            ("momentum", "in [0, 1)", 0 <= self.momentum < 1),
            ("weight_decay", "finite and at least 0", 0 <= self.weight_decay < inf),
            ("warmup_steps", "at least 0", self.warmup_steps >= 0),
            ("warmup_factor", "in (0, 1]", 0 < self.warmup_factor <= 1),
            (
                "milestones",
                "epochs, rising and at least 1",
                rising and min(self.milestones, default=1) >= 1,
            ),
            ("gamma", "in (0, 1]", 0 < self.gamma <= 1),
            ("router_lr", "finite and at least 0", 0 <= self.router_lr < inf),
            ("clip_norm", "finite and at least 0", 0 <= self.clip_norm < inf),
            ("ema_decay", "in [0, 1)", 0 <= self.ema_decay < 1),
            ("ema_interval", "at least 1", self.ema_interval >= 1),
        ):
            if not holds:
                raise RunError(f"{name} must be {rule}, got {getattr(self, name)}")

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        return asdict(self) | {"milestones": list(self.milestones)}

    @property
    def unreached(self) -> tuple[int, ...]:
        """The milestones that the training does not reach."""
        return tuple(m for m in self.milestones if m >= self.epochs)

    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step.

        Args:
            step: Steps made so far in all.
            steps: Steps of the whole training.

        Example:
            >>> recipe = DetectionRecipe()  # milestones 8 and 11 of 12 epochs
            >>> rates = [recipe.learning_rate_at(step, 90_000) for step in (0, 60_000)]
            >>> [round(rate, 6) for rate in rates]
            [2e-05, 0.002]
        """
        epoch = step * self.epochs // steps
        passed = sum(epoch >= milestone for milestone in self.milestones)
        rate = self.learning_rate * self.gamma**passed
        if step < self.warmup_steps:
            done = step / self.warmup_steps
            rate *= self.warmup_factor + (1 - self.warmup_factor) * done
        return rate


DETECTION_RECIPES = {
    "1x": DetectionRecipe(),
    "small": DetectionRecipe(
        batch_size=4, learning_rate=0.01, warmup_steps=100, clip_norm=10.0
    ),
}
"""The presets. ``1x``: Detectron2's schedule, which DDW's section 4.2 names: 90,000
steps of 16 images, of which 1,000 warm up, the rate falling after 60,000 and 80,000;
that is 12, 8 and 11 epochs of COCO. ``small``: ours, for a few hundred images on a
CPU."""


def detection_recipe(name: str, **changes: Any) -> DetectionRecipe:
    """Returns a preset with some of its values changed; None changes nothing.

    Raises:
        RunError: If there is no such preset or value, or a value is out of range.

    Example:
        >>> detection_recipe("1x", epochs=24, milestones=(16, 22)).learning_rate
        0.02
    """
    return preset(
        DETECTION_RECIPES,
        name,
        changes,
        called="recipe",
        whole="a recipe of detection",
        error=RunError,
    )
