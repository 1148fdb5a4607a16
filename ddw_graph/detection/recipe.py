"""Recipes of detection."""

from dataclasses import dataclass
from typing import Any

from ddw_graph.errors import RunError
from ddw_graph.settings import preset, setting
from ddw_graph.training.recipe import BaseRecipe


@dataclass(frozen=True)
class DetectionRecipe(BaseRecipe):
    """How a detector is trained; see ``BaseRecipe`` for the rest.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int = 12
    batch_size: int = 16
    learning_rate: float = 0.02
    weight_decay: float = 1e-4
    warmup_steps: int = setting(
        1000, "Steps of the linear warm-up; warmup_epochs must be 0.", "[0, inf)"
    )
    warmup_factor: float = setting(
        0.001, "The first rate, as a share of learning_rate.", "(0, 1]"
    )
    milestones: tuple[int, ...] = setting(
        (8, 11), "Epochs after which the rate is multiplied by gamma.", "[1, inf)"
    )
    gamma: float = setting(0.1, "Factor of the rate at each milestone.", "(0, 1]")
    flip: bool = setting(True, "Flip half of the training images.")

    def rules(self) -> list[tuple[str, str, bool]]:
        """Returns the rules between values: name, rule, and whether it holds."""
        rising = list(self.milestones) == sorted(set(self.milestones))
        return [
            *super().rules(),
            ("warmup_epochs", "0: see warmup_steps", self.warmup_epochs == 0),
            ("milestones", "rising", rising),
        ]

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
        DETECTION_RECIPES, name, changes, called="recipe of detection", error=RunError
    )
