"""What a training is in the midst of: all that the rest of it depends on."""

from typing import Any, cast

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError
from ddw_graph.nn.network import Network
from ddw_graph.training.average import averaged
from ddw_graph.training.execution import Execution
from ddw_graph.training.finite import first_not_finite
from ddw_graph.training.recipe import Recipe, parameter_groups
from ddw_graph.training.run import Row, RunFolder

TALLY = ("loss", "correct", "share", "images", "seconds")
"""What is added up over the steps of an epoch."""

TALLY_SINCE = ("waited", "bad")
"""Likewise, and not in checkpoints of earlier versions."""


class TrainingState:
    """A network in training, with its optimizer, its average and its log.

    What dropout, augmentation and order draw is named by seed, epoch and step, and so
    need not be kept.

    Args:
        model: The network, where it is trained.
        recipe: The recipe.
        execution: How steps are computed.
    """

    def __init__(self, model: Network, recipe: Recipe, execution: Execution) -> None:
        self.model = model
        self.recipe = recipe
        self.optimizer = torch.optim.SGD(
            parameter_groups(model, recipe),
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
        )
        self.average = averaged(model, recipe.ema_decay) if recipe.ema_decay else None
        self.scaler = execution.scaler(next(model.parameters()).device)
        self.history: list[Row] = []
        self.step = 0
        self.tally = dict.fromkeys((*TALLY, *TALLY_SINCE), 0.0)

    @property
    def epoch(self) -> int:
        """Epochs that are finished."""
        return len(self.history)

    @property
    def tested(self) -> Network:
        """The network that is tested: where there is an average, that."""
        return cast(Network, self.average.module) if self.average else self.model

    def end_epoch(self, row: Row) -> None:
        """Adds an epoch's line to the log, and begins the next epoch."""
        self.history.append(row)
        self.step = 0
        self.tally = dict.fromkeys((*TALLY, *TALLY_SINCE), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it, as tensors, numbers and text."""
        state: dict[str, Any] = {
            "model": self.tested.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": list(self.history),
            "step": self.step,
            "tally": dict(self.tally),
        }
        if self.average:
            state["trained"] = self.model.state_dict()
            state["averaged"] = int(self.average.n_averaged)
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        return state

    def restore(self, folder: RunFolder) -> None:
        """Goes on where the last checkpoint of a folder was written.

        Raises:
            RunError: If that is damaged, or another network's.
        """
        state = folder.read_checkpoint()
        load_weights(self.tested, state["model"], folder)
        try:
            if self.average:
                load_weights(self.model, state["trained"], folder)
                self.average.n_averaged.fill_(state["averaged"])
            history = [dict(row) for row in state["history"]]
            numbers = [value for row in history for value in row.values()]
            # A checkpoint of an earlier version ends an epoch and has neither.
            step = state.get("step", 0)
            told = state.get("tally", self.tally)
            tally = {name: told[name] for name in TALLY}
            tally |= {name: told.get(name, 0.0) for name in TALLY_SINCE}
            numbers += tally.values()
            if not all(isinstance(value, int | float) for value in numbers):
                raise ValueError("its history holds something else than numbers")
            if not isinstance(step, int) or step < 0:
                raise ValueError(f"{step!r} steps of an epoch")
            if not 0 <= len(history) <= self.recipe.epochs or not (history or step):
                raise ValueError(f"{len(history)} epochs of {self.recipe.epochs}")
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler.is_enabled():
                self.scaler.load_state_dict(state["scaler"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"{folder.checkpoint_path} must be a checkpoint of this run: {error}"
            ) from error
        self.history, self.step, self.tally = history, step, tally

    def is_finite(self) -> bool:
        """Returns whether every weight and statistic is finite."""
        models = {id(m): m for m in (self.model, self.tested)}.values()
        return not any(first_not_finite(model.state_dict()) for model in models)


def load_weights(
    model: nn.Module, weights: dict[str, Tensor], folder: RunFolder
) -> None:
    """Loads a checkpoint's weights into a network.

    Raises:
        RunError: If they are another network's.
    """
    try:
        own = model.state_dict()
        for name, tensor in weights.items():
            # Loading would turn another type into ours without a word.
            if name in own and tensor.dtype != own[name].dtype:
                wrong = f"{name} is {tensor.dtype}, not {own[name].dtype}"
                raise TypeError(f"\n{wrong}")
        model.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines()[1:3])
        raise RunError(
            f"{folder.checkpoint_path} must hold the weights of this network: {reason}"
        ) from error
