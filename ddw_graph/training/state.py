"""Everything in a training that the rest of it depends on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError
from ddw_graph.nn.finite import first_not_finite
from ddw_graph.training.average import moving_average
from ddw_graph.training.execution import Execution
from ddw_graph.training.log import Row
from ddw_graph.training.parameter_groups import parameter_groups
from ddw_graph.training.recipe import BaseRecipe


class TrainingState:
    """A network in training, with its optimizer, averaged weights and log.

    What dropout, augmentation and order draw depends on seed, epoch and step only, and
    need not be kept.
    """

    def __init__(
        self, network: nn.Module, recipe: BaseRecipe, execution: Execution
    ) -> None:
        self.network = network
        self.recipe = recipe
        groups, rate = parameter_groups(network, recipe), recipe.learning_rate
        self.optimizer: torch.optim.Optimizer
        if recipe.optimizer == "adamw":
            betas = recipe.momentum, recipe.beta2
            self.optimizer = torch.optim.AdamW(groups, lr=rate, betas=betas)
        else:
            self.optimizer = torch.optim.SGD(groups, lr=rate, momentum=recipe.momentum)
        decay = recipe.ema_decay
        self.average = moving_average(network, decay) if decay else None
        kind, scales = next(network.parameters()).device.type, execution.scales
        self.scaler = torch.amp.GradScaler(kind, enabled=scales)
        self.history: list[Row] = []
        self.step = 0
        self.tally: dict[str, float] = {}

    @property
    def epoch(self) -> int:
        """Epochs that are finished."""
        return len(self.history)

    @property
    def evaluated(self) -> Any:
        """The network to evaluate: the average of the weights if there is one."""
        return self.average.module if self.average else self.network

    def update(self, rate: float) -> None:
        """Makes the optimizer's step with the gradients that are there."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        if self.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()

    def update_average(self, steps_left: int) -> None:
        """Adds the weights to their average, where it is time for it.

        The last step, after which no steps of the epoch are left, always counts.
        """
        if self.average is None or steps_left % self.recipe.ema_interval:
            return
        self.average.update_parameters(self.network)
        if self.epoch < self.recipe.warmup_epochs:
            # The next update copies again: an average that begins in the warm-up keeps
            # some of the first weights for long.
            self.average.n_averaged.zero_()

    def end_epoch(self, row: Row) -> None:
        """Adds an epoch's line to the log, and begins the next epoch."""
        self.history.append(row)
        self.step, self.tally = 0, {}

    def as_dict(self) -> dict[str, Any]:
        """Returns all of it, as tensors, numbers and text."""
        state: dict[str, Any] = {
            "model": self.evaluated.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": list(self.history),
            "step": self.step,
            "tally": dict(self.tally),
        }
        if self.average:
            state["trained"] = self.network.state_dict()
            state["averaged"] = int(self.average.n_averaged)
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        return state

    def restore(self, state: Mapping[str, Any]) -> None:
        """Resumes where a checkpoint was written; another one is a ``RunError``."""
        load_weights(self.evaluated, state["model"])
        try:
            if self.average:
                load_weights(self.network, state["trained"])
                self.average.n_averaged.fill_(int(state["averaged"]))
            history, tally = [*map(dict, state["history"])], dict(state["tally"])
            step = int(state["step"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler.is_enabled():
                self.scaler.load_state_dict(state["scaler"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, RunError):
                raise
            raise RunError(f"it must be a checkpoint of this run: {error}") from error
        self.history, self.step, self.tally = history, step, tally

    def is_finite(self) -> bool:
        """Returns whether every weight and statistic is finite."""
        networks = {id(n): n for n in (self.network, self.evaluated)}.values()
        return not any(first_not_finite(each.state_dict()) for each in networks)


def load_weights(network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Loads the weights of a checkpoint into a network; others are a ``RunError``."""
    try:
        own = network.state_dict()
        for name, tensor in weights.items():
            # Loading would convert another type without a word.
            if name in own and tensor.dtype != own[name].dtype:
                wrong = f"{name} is {tensor.dtype}, not {own[name].dtype}"
                raise TypeError(f"\n{wrong}")
        network.load_state_dict(weights)
    except (RuntimeError, TypeError, AttributeError) as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = "; ".join(lines[1:3]) or lines[0]
        raise RunError(f"it must hold the weights of this network: {reason}") from error
