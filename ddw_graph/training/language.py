"""Language as a task: predicting the next token of a text."""

import math
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import Dataset

from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.language_model import LanguageModel
from ddw_graph.training.execution import Execution
from ddw_graph.training.log import Row
from ddw_graph.training.prediction import Prediction
from ddw_graph.training.task import Evaluating
from ddw_graph.training.text_data import TextData

OF_IMAGES = ("augment", "mixup", "cutmix", "budget")
"""Values of a recipe that have no meaning for a text."""


class Language(Prediction):
    """A language model that learns to predict the next token.

    The log has the means of loss and accuracy over the tokens to train on, and on the
    held-out ones loss, accuracy, share of the MACs (see ``Classification``), perplexity
    and bits a byte. A loss is in nats a token. The held-out text is cut into windows of
    the context's length: its first tokens are predicted from few others.

    A sample is a window as long as the context; those to train on begin at a drawn
    token.
    """

    name = "language"
    default_model = "gpt_tiny"
    data: TextData

    @cached_property
    def train(self) -> Dataset[Any]:
        """The windows to train on."""
        return self.data.train_windows(self.network.context)

    def check(self, execution: Execution) -> None:
        """Checks that the network reads this text, and that the recipe is for texts.

        Raises:
            DataError: If the network is no language model, or of another vocabulary.
            RunError: If a value of the recipe is for images.
        """
        network, data = self.network, self.data
        if not isinstance(network, LanguageModel):
            raise DataError(
                "a text needs a language model, such as gpt_tiny, got a "
                f"{type(network).__name__} for images"
            )
        if network.vocabulary != data.vocabulary:
            raise DataError(
                f"the network has a vocabulary of {network.vocabulary} tokens, the "
                f"{data.name} {data.vocabulary}"
            )
        for name in OF_IMAGES:
            value = getattr(self.recipe, name)
            if value not in (False, 0.0, None):
                raise RunError(
                    f"{name} is for images, got {name}={value} for a text; the recipe "
                    "language is without"
                )

    def loss(
        self, forward: nn.Module, batch: tuple[Tensor, Tensor], count: int
    ) -> dict[str, Tensor]:
        """Returns the cross-entropy of the next tokens; see ``Task.loss``."""
        tokens, following = batch
        logits = forward(tokens)
        logits = logits.float() if logits.itemsize < 4 else logits
        if not count:
            nothing = 0 * logits.sum()
            return {"objective": nothing, "loss": nothing, "accuracy": nothing}
        logits, targets = logits[:count].flatten(0, 1), following[:count].flatten()
        objective = functional.cross_entropy(
            logits, targets, label_smoothing=self.recipe.label_smoothing
        )
        # Of each window, since the log has means over samples.
        right = (logits.argmax(1) == targets).double().mean() * count
        return {
            "objective": objective,
            "loss": objective.detach().double() * count,
            "accuracy": right,
        }

    def evaluate(self, network: Any, now: Evaluating) -> Row:
        """Returns the figures of classification, with perplexity and bits a byte."""
        row = super().evaluate(network, now)
        loss = row["test_loss"]
        return {
            **row,
            "test_perplexity": math.exp(min(loss, 700.0)),  # of any more, no float
            "test_bits_per_byte": loss / math.log(2) / self.data.bytes_per_token,
        }

    def result(self, network: Any, history: Sequence[Row]) -> dict[str, Any]:
        """Returns accuracy, losses, perplexity, bits a byte, time and cost."""
        names = ("test_perplexity", "test_bits_per_byte")
        own = {name: history[-1][name] for name in names}
        return super().result(network, history) | own
