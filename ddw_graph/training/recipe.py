"""Recipes: how a network is trained."""

import math
from dataclasses import dataclass, fields, replace
from math import inf
from typing import Any

from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.nn.edge_weights import EdgeWeights


@dataclass(frozen=True)
class Recipe:
    """SGD with momentum, a linear warm-up, a cosine to zero, label smoothing.

    Args:
        epochs: Passes over the training images.
        batch_size: Images in a step.
        learning_rate: At the end of the warm-up.
        momentum: Of SGD.
        weight_decay: Of every parameter but thresholds, router biases and edge logits.
        warmup_epochs: Length of the warm-up; may be a fraction.
        label_smoothing: Share of the target that all classes divide.
        augment: Whether training images are augmented.
        router_lr: Learning rate of the edge weights, in multiples of the others'.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 0.1
    momentum: float = 0.9
    weight_decay: float = 5e-5
    warmup_epochs: float = 0.0
    label_smoothing: float = 0.1
    augment: bool = True
    router_lr: float = 1.0

    def __post_init__(self) -> None:
        """Checks every value."""
        for name, rule, holds in (
            ("epochs", "at least 1", self.epochs >= 1),
            ("batch_size", "in [1, 2**31)", 1 <= self.batch_size < 2**31),
            ("learning_rate", "finite and more than 0", 0 < self.learning_rate < inf),
            ("momentum", "in [0, 1)", 0 <= self.momentum < 1),
            ("weight_decay", "finite and at least 0", 0 <= self.weight_decay < inf),
            ("warmup_epochs", "in [0, epochs]", 0 <= self.warmup_epochs <= self.epochs),
            ("label_smoothing", "in [0, 1]", 0 <= self.label_smoothing <= 1),
            ("router_lr", "finite and at least 0", 0 <= self.router_lr < inf),
        ):
            if not holds:
                raise RunError(f"{name} must be {rule}, got {getattr(self, name)}")

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
        done = (step - warmup) / max(1, steps - warmup)
        return self.learning_rate * 0.5 * (1 + math.cos(math.pi * done))


RECIPES = {
    "randwire": Recipe(),
    "small": Recipe(
        epochs=5,
        batch_size=32,
        learning_rate=0.05,
        weight_decay=5e-4,
        warmup_epochs=0.5,
        label_smoothing=0.0,
        augment=False,
    ),
}
"""``randwire``: Xie et al. 2019, arXiv:1904.01569, section 4, for 100 epochs (they also
train for 250). ``small``: ours, for images of 8 to 64 px."""


def recipe_named(name: str, **changes: Any) -> Recipe:
    """Returns a preset with some of its values changed; None changes nothing.

    Raises:
        RunError: If there is no such preset or value, or a value is out of range.

    Example:
        >>> recipe_named("randwire", epochs=250).epochs
        250
    """
    if name not in RECIPES:
        raise RunError(f"recipe must be one of {', '.join(RECIPES)}, got {name!r}")
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(changes) - known)
    if unknown:
        raise RunError(f"a recipe has no {', '.join(unknown)}")
    told = {key: value for key, value in changes.items() if value is not None}
    return replace(RECIPES[name], **told)


def parameter_groups(model: nn.Module, recipe: Recipe) -> list[dict[str, Any]]:
    """Returns the parameters in groups for an optimizer.

    Thresholds, router biases and edge logits take no weight decay: it would pull them
    toward an edge weight that nobody chose. ``scale`` is a group's learning rate in
    multiples of the recipe's.
    """
    network: list[nn.Parameter] = []
    routers: list[nn.Parameter] = []
    undecayed: list[nn.Parameter] = []
    of_edges = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, EdgeWeights)
        for parameter in module.parameters()
    }
    for parameter in model.parameters():
        if id(parameter) not in of_edges:
            network.append(parameter)
        elif parameter.ndim > 1:
            routers.append(parameter)
        else:
            undecayed.append(parameter)
    decay = recipe.weight_decay
    groups = (
        {"params": network, "weight_decay": decay, "scale": 1.0},
        {"params": routers, "weight_decay": decay, "scale": recipe.router_lr},
        {"params": undecayed, "weight_decay": 0.0, "scale": recipe.router_lr},
    )
    return [group for group in groups if group["params"]]
