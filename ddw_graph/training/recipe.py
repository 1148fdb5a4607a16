"""Recipes: how a network is trained."""

import math
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from math import inf
from typing import Any

from torch import nn

from ddw_graph.errors import RunError
from ddw_graph.nn.arguments import is_integer
from ddw_graph.nn.edge_weights import EdgeWeights
from ddw_graph.presets import preset

NORMALISATIONS = (
    nn.modules.batchnorm._BatchNorm,
    nn.modules.instancenorm._InstanceNorm,
    nn.GroupNorm,
    nn.LayerNorm,
)
"""Layers whose parameters ``norm_weight_decay`` is for."""

OPTIMIZERS = ("sgd", "adamw")

SCHEDULES = ("cosine", "step")
"""How the learning rate falls after the warm-up."""


@dataclass(frozen=True)
class BaseRecipe(ABC):
    """An optimizer and its settings: what the recipes of all tasks have in common.

    Args:
        epochs: Passes over the training samples.
        batch_size: Samples in a step, those of all processes.
        learning_rate: Learning rate at the end of the warm-up.
        optimizer: ``sgd`` with momentum, or ``adamw``.
        momentum: Of SGD; of AdamW the decay of the mean of gradients (beta 1).
        beta2: Of AdamW, the decay of the mean of squared gradients.
        weight_decay: Of every parameter but thresholds, router biases and edge logits;
            with AdamW of those with two axes or more: matrices and convolutions.
        norm_weight_decay: Of the parameters of normalisation; by default
            ``weight_decay``.
        router_lr: Learning rate of the edge weights, in multiples of the others'.
        warmup_epochs: Length of the linear warm-up; may be a fraction.
        clip_norm: Largest norm of all gradients together; longer ones are shortened to
            it. 0 for no limit.
        ema_decay: Decay of the average of the weights, which is then what is evaluated;
            0 for no average.
        ema_interval: Steps between two updates of the average.

    Raises:
        RunError: If a value is out of range.
    """

    epochs: int = 100
    batch_size: int = 256
    learning_rate: float = 0.1
    optimizer: str = "sgd"
    momentum: float = 0.9
    beta2: float = 0.999
    weight_decay: float = 5e-5
    norm_weight_decay: float | None = None
    router_lr: float = 1.0
    warmup_epochs: float = 0.0
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    ema_interval: int = 1

    def __post_init__(self) -> None:
        """Checks every value."""
        for name, rule, holds in self.rules():
            if not holds:
                raise RunError(f"{name} must be {rule}, got {getattr(self, name)}")

    def rules(self) -> list[tuple[str, str, bool]]:
        """Returns the rule of each value, by its name, and whether it holds."""
        norm_decay = self.norm_weight_decay or 0.0
        whole = is_integer(self.epochs)
        return [
            ("epochs", "an integer", whole),
            ("epochs", "at least 1", self.epochs >= 1),
            ("batch_size", "in [1, 2**31)", 1 <= self.batch_size < 2**31),
            ("learning_rate", "in (0, 1e30]", 0 < self.learning_rate <= 1e30),
            ("optimizer", " or ".join(OPTIMIZERS), self.optimizer in OPTIMIZERS),
            ("momentum", "in [0, 1)", 0 <= self.momentum < 1),
            ("beta2", "in [0, 1)", 0 <= self.beta2 < 1),
            ("weight_decay", "finite and at least 0", 0 <= self.weight_decay < inf),
            ("norm_weight_decay", "finite and at least 0", 0 <= norm_decay < inf),
            ("router_lr", "finite and at least 0", 0 <= self.router_lr < inf),
            ("warmup_epochs", "in [0, epochs]", 0 <= self.warmup_epochs <= self.epochs),
            ("clip_norm", "finite and at least 0", 0 <= self.clip_norm < inf),
            ("ema_decay", "in [0, 1)", 0 <= self.ema_decay < 1),
            ("ema_interval", "at least 1", self.ema_interval >= 1),
        ]

    @abstractmethod
    def learning_rate_at(self, step: int, steps: int) -> float:
        """Returns the learning rate of a step, of so many in the whole training."""

    def as_dict(self) -> dict[str, Any]:
        """Returns the values by name, ready for JSON."""
        values = asdict(self)
        return {k: list(v) if isinstance(v, tuple) else v for k, v in values.items()}


@dataclass(frozen=True)
class Recipe(BaseRecipe):
    """How a network is trained to classify images or to predict text.

    Values that change images must be off for a text. See ``BaseRecipe`` for the rest.

    Args:
        label_smoothing: Share of the target that all classes divide.
        augment: Whether training images are augmented.
        schedule: ``cosine``, to ``final_rate`` and changed at each step; or ``step``,
            times ``gamma`` after each ``step_epochs`` epochs that follow the warm-up.
        final_rate: Learning rate at the end of the schedule ``cosine``, as a share of
            ``learning_rate``.
        gamma: Factor of the schedule ``step``; ``cosine`` has none.
        step_epochs: Epochs between two factors of the schedule ``step``.
        trivial_augment: Whether each image takes one change of TrivialAugmentWide;
            needs ``augment``.
        rand_augment: Magnitude of RandAugment, of which each image takes two changes,
            in ``[0, 30]``; None for none. Needs ``augment``, and no
            ``trivial_augment``.
        random_erasing: Probability that a rectangle of an image is erased; needs
            ``augment`` unless 0.
        mixup: Alpha of MixUp; 0 for none. With ``cutmix`` each batch draws one of them.
        cutmix: Alpha of CutMix; 0 for none.
        budget: What the mean of the MACs that an image asks for is pulled toward, as a
            share of those with every edge open; None for no such term. Needs dynamic
            edges with the gate ``hard``.
        budget_weight: Weight of the squared distance from ``budget`` in the loss.

    Raises:
        RunError: If a value is out of range.

    Source:
        TrivialAugment, arXiv:2103.10158; RandAugment, arXiv:1909.13719; random erasing,
        arXiv:1708.04896; MixUp, arXiv:1710.09412; CutMix, arXiv:1905.04899.
    """

    label_smoothing: float = 0.1
    augment: bool = True
    schedule: str = "cosine"
    final_rate: float = 0.0
    gamma: float = 0.98
    step_epochs: int = 1
    trivial_augment: bool = False
    rand_augment: int | None = None
    random_erasing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    budget: float | None = None
    budget_weight: float = 10.0

    def rules(self) -> list[tuple[str, str, bool]]:
        """Returns the rule of each value, by its name, and whether it holds."""
        budget = 1.0 if self.budget is None else self.budget
        magnitude = 0 if self.rand_augment is None else self.rand_augment
        return [
            *super().rules(),
            ("label_smoothing", "in [0, 1]", 0 <= self.label_smoothing <= 1),
            ("schedule", " or ".join(SCHEDULES), self.schedule in SCHEDULES),
            ("final_rate", "in [0, 1]", 0 <= self.final_rate <= 1),
            ("gamma", "in (0, 1]", 0 < self.gamma <= 1),
            ("step_epochs", "at least 1", self.step_epochs >= 1),
            ("random_erasing", "in [0, 1]", 0 <= self.random_erasing <= 1),
            ("rand_augment", "in [0, 30]", 0 <= magnitude <= 30),
            ("mixup", "finite and at least 0", 0 <= self.mixup < inf),
            ("cutmix", "finite and at least 0", 0 <= self.cutmix < inf),
            ("budget", "in (0, 1]", 0 < budget <= 1),
            ("budget_weight", "finite and at least 0", 0 <= self.budget_weight < inf),
            # Settings do as they say or are refused: augment is not turned on here.
            (
                "trivial_augment",
                "False without augment",
                self.augment or not self.trivial_augment,
            ),
            (
                "random_erasing",
                "0 without augment",
                self.augment or not self.random_erasing,
            ),
            (
                "rand_augment",
                "None without augment, or with trivial_augment",
                self.rand_augment is None
                or (self.augment and not self.trivial_augment),
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
            # An epoch that a fraction of the warm-up begins in is not counted.
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


def default_recipe(data: str | None) -> str:
    """Returns the name of the preset for a data set, where none is named."""
    return "language" if data == "text" else "small"


def recipe_named(name: str, **changes: Any) -> Recipe:
    """Returns a preset with some of its values changed; None changes nothing.

    Raises:
        RunError: If there is no such preset or value, or a value is out of range.

    Example:
        >>> recipe_named("randwire", epochs=250).epochs
        250
    """
    return preset(
        RECIPES, name, changes, called="recipe", whole="a recipe", error=RunError
    )


def parameter_groups(model: nn.Module, recipe: BaseRecipe) -> list[dict[str, Any]]:
    """Returns the parameters that train, in groups for an optimizer.

    Edge weights say which of their parameters take no weight decay, and how their
    learning rate scales. Thresholds, router biases and edge logits take none: it would
    pull them toward an edge weight that nobody chose. With AdamW, neither do vectors.
    Parameters of normalisation are a group of their own where the recipe has a weight
    decay for them. ``scale`` is a group's learning rate in multiples of the recipe's.
    """
    network: list[nn.Parameter] = []
    norms: list[nn.Parameter] = []
    of_edges = _edge_parameters(model)
    by_edges: dict[tuple[float, bool], list[nn.Parameter]] = {}
    apart = recipe.norm_weight_decay is not None
    of_norms = _parameters_of(model, *NORMALISATIONS) if apart else set()
    for parameter in filter(lambda each: each.requires_grad, model.parameters()):
        if id(parameter) in of_edges:
            by_edges.setdefault(of_edges[id(parameter)], []).append(parameter)
        elif id(parameter) in of_norms:
            norms.append(parameter)
        else:
            network.append(parameter)
    decay = recipe.weight_decay
    vectors: list[nn.Parameter] = []
    if recipe.optimizer == "adamw":
        vectors = [parameter for parameter in network if parameter.ndim < 2]
        network = [parameter for parameter in network if parameter.ndim > 1]
    groups: list[dict[str, Any]] = [
        {"params": network, "weight_decay": decay, "scale": 1.0},
        {"params": vectors, "weight_decay": 0.0, "scale": 1.0},
        {"params": norms, "weight_decay": recipe.norm_weight_decay, "scale": 1.0},
        *(
            {
                "params": parameters,
                "weight_decay": decay if decays else 0.0,
                "scale": recipe.router_lr * scale,
            }
            for (scale, decays), parameters in sorted(by_edges.items(), reverse=True)
        ),
    ]
    return [group for group in groups if group["params"]]


def _edge_parameters(model: nn.Module) -> dict[int, tuple[float, bool]]:
    """Returns for each parameter of edge weights its scale, and whether it decays."""
    found: dict[int, tuple[float, bool]] = {}
    for module in model.modules():  # what contains others comes before them
        if isinstance(module, EdgeWeights):
            undecayed = module.no_weight_decay() | {"neutral_scale"}
            for name, parameter in module.named_parameters():
                rule = module.lr_scale, name not in undecayed
                found.setdefault(id(parameter), rule)
    return found


def _parameters_of(model: nn.Module, *kinds: type[nn.Module]) -> set[int]:
    """Returns the identities of the parameters of a model's modules of some kinds."""
    return {
        id(parameter)
        for module in model.modules()
        if isinstance(module, kinds)
        for parameter in module.parameters()
    }
