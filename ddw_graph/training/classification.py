"""Classification as a task: cross-entropy, accuracy, and the share of the MACs."""

from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ddw_graph.errors import DataError
from ddw_graph.training.budget_term import budget_term, check_closing, mac_shares
from ddw_graph.training.execution import Execution
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.prediction import Prediction


class Classification(Prediction):
    """A network that learns the classes of images.

    The log has the means of loss, accuracy and share of the MACs over training and over
    test images. The training loss is that of the targets as trained on, mixed and
    smoothed, without the budget's term; in training accuracy an image is right where
    the class with the largest share of its target is predicted. A share of the MACs is
    what the wiring of an image asks for over those with every edge open: expected, not
    measured. In training, what DropPath closes counts as closed.
    """

    name = "classification"
    default_model = "randwire_tiny"
    fewest = 2

    data: ImageData

    @cached_property
    def train(self) -> Dataset[Any]:
        """The training images as the network sees them."""
        return self.data.train_inputs(self.recipe)

    def check(self, execution: Execution) -> None:
        """Checks that the network takes the images, and can keep a budget.

        Raises:
            DataError: If channels or classes differ.
            RunError: If the recipe has a budget, and edges do not close in training.
        """
        config, data = self.network.config or {}, self.data
        for what, wanted, found in (
            ("channels", self.network.in_channels, data.channels),
            ("classes", config.get("num_classes"), len(data.classes)),
        ):
            if wanted != found:
                raise DataError(
                    f"the network takes {wanted} {what}, the images of {data.name} "
                    f"have {found}"
                )
        if self.recipe.budget is not None:
            for stage in self.network.stages:
                check_closing(stage.edges)

    def mix(
        self, batch: tuple[Tensor, Tensor], key: Key, step: int
    ) -> tuple[Tensor, Tensor]:
        """Returns images and targets, each image mixed with the one before it.

        MixUp adds the two, CutMix pastes a rectangle of one into the other, with one
        share for the whole batch; where both are on, each batch draws one of them.
        Targets are then the shares of the classes. A single image is unchanged.
        """
        alphas = {"MixUp": self.recipe.mixup, "CutMix": self.recipe.cutmix}
        if not any(alphas.values()) or len(batch[1]) < 2:
            return batch
        from torchvision.transforms import v2  # slow to import

        classes = len(self.data.classes)
        kinds = [
            getattr(v2, name)(alpha=alpha, num_classes=classes)
            for name, alpha in alphas.items()
            if alpha
        ]
        with key.global_draws(Purpose.MIXING, step):
            mixture: tuple[Tensor, Tensor] = v2.RandomChoice(kinds)(*batch)
        return mixture

    def loss(
        self, forward: nn.Module, batch: tuple[Tensor, Tensor], count: int
    ) -> dict[str, Tensor]:
        """Returns the cross-entropy with the budget's term; see ``Task.loss``."""
        images, targets = batch
        logits, adjacency = forward(images, return_adjacency=True)
        logits = logits.float() if logits.itemsize < 4 else logits
        targets = targets[:count]
        shares = mac_shares(self.price, [matrix[:count] for matrix in adjacency])
        if count:
            entropy = functional.cross_entropy(
                logits[:count], targets, label_smoothing=self.recipe.label_smoothing
            )
            objective = entropy
            if self.recipe.budget is not None:
                pull = budget_term(shares, self.recipe.budget)
                objective = entropy + self.recipe.budget_weight * pull
        else:
            entropy = objective = 0 * logits.sum()
        classes = targets if targets.ndim == 1 else targets.argmax(1)
        return {
            "objective": objective,
            "loss": entropy.detach().double() * count,
            "accuracy": (logits[:count].argmax(1) == classes).sum(),
            "macs_share": shares.detach().double().sum(),
        }
