"""The training loop."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ddw_graph.errors import RunError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.budget_term import budget_term, mac_shares
from ddw_graph.training.data import ImageData
from ddw_graph.training.images import (
    Augmentation,
    Images,
    Key,
    batch_sizes,
    batches,
    mixed,
)
from ddw_graph.training.recipe import Recipe, parameter_groups
from ddw_graph.training.run import Row, RunFolder

Tensors = tuple[Tensor, ...] | list[Tensor]


@runtime_checkable
class Listener(Protocol):
    """Hears how a training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Hears of a step: the epoch, the steps made in it and to make, its loss."""

    def epoch(self, row: Row) -> None:
        """Hears of an epoch: its line of the log."""


@dataclass(frozen=True)
class Evaluation:
    """How a network does on a set of images.

    Args:
        loss: Mean cross-entropy.
        accuracy: Share of images whose class is predicted, in ``[0, 1]``.
        macs_share: Mean of the MACs that an image asks for, in shares of those with
            every edge open.
    """

    loss: float
    accuracy: float
    macs_share: float


@torch.no_grad()
def evaluate(
    model: Network,
    images: Images,
    *,
    batch_size: int = 250,
    workers: int = 0,
    price: NetworkCost | None = None,
) -> Evaluation:
    """Returns how a network does, which is put into evaluation mode.

    Args:
        model: The network.
        images: The images.
        batch_size: Images at a time.
        workers: Processes that load images.
        price: What the network costs; counted here by default.
    """
    model.eval()
    device = _device(model)
    loss = correct = share = 0.0
    for x, labels in batches(images, batch_size, workers=workers):
        labels = labels.to(device)
        price = price or cost(model, x.shape[-1])
        logits, adjacency = model(x.to(device), return_adjacency=True)
        loss += functional.cross_entropy(logits, labels, reduction="sum").item()
        correct += (logits.argmax(1) == labels).sum().item()
        share += mac_shares(price, adjacency).double().sum().item()
    count = len(images)
    return Evaluation(loss / count, correct / count, share / count)


def fit(
    model: Network,
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int,
    folder: RunFolder,
    listener: Listener | None = None,
    workers: int = 0,
) -> list[Row]:
    """Trains a network and returns its log; goes on after the folder's last checkpoint.

    A checkpoint is written after every epoch, with everything that the rest depends
    on: a resumed run ends with the weights of an uninterrupted one. Where the recipe
    averages weights, the average is what is tested, and the checkpoint's ``model``.

    The log's training loss is that of the targets as trained on, mixed and smoothed,
    without the budget's term; its training accuracy counts an image as right where the
    class with the largest share of its target is predicted. ``train_macs_share`` and
    ``test_macs_share`` are means of the MACs that an image's wiring asks for, in shares
    of those with every edge open: expected, not measured. In training what DropPath
    closes counts as closed.

    Args:
        model: The network, on the device where it trains.
        data: The images.
        recipe: The recipe.
        seed: Fixes order and augmentation. Dropout and DropPath draw from torch's
            generator.
        folder: Where checkpoints and log go.
        listener: Hears of steps and epochs.
        workers: Processes that load images.

    Raises:
        RunError: If the loss is not finite: nothing is written then, so the last good
            checkpoint stays; or if the checkpoint is of another network.
    """
    optimizer = torch.optim.SGD(
        parameter_groups(model, recipe),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
    )
    average = averaged(model, recipe.ema_decay) if recipe.ema_decay else None
    tested = cast(Network, average.module) if average else model
    price = cost(model, data.image_size)
    history: list[Row] = []
    if folder.checkpoint_path.exists():
        history = _restore(folder, model, average, optimizer, recipe)
        folder.write_log(history)
    device = _device(model)
    steps_an_epoch = len(batch_sizes(len(data.train), recipe.batch_size))
    steps = steps_an_epoch * recipe.epochs
    for epoch in range(len(history), recipe.epochs):
        model.train()
        began = time.perf_counter()
        total_loss = torch.zeros((), device=device)
        correct = torch.zeros((), device=device)
        total_share = torch.zeros((), device=device)
        key = Key(seed, epoch)
        loader = batches(
            data.train,
            recipe.batch_size,
            shuffle=key,
            augment=recipe.augment,
            augmentation=Augmentation(recipe.trivial_augment, recipe.random_erasing),
            workers=workers,
        )
        for step, (x, labels) in enumerate(loader):
            rate = recipe.learning_rate_at(epoch * steps_an_epoch + step, steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["scale"]
            x, targets = mixed(
                x.to(device),
                labels.to(device),
                len(data.classes),
                key,
                step,
                mixup=recipe.mixup,
                cutmix=recipe.cutmix,
            )
            logits, adjacency = model(x, return_adjacency=True)
            entropy = functional.cross_entropy(
                logits, targets, label_smoothing=recipe.label_smoothing
            )
            shares = mac_shares(price, adjacency)
            loss = entropy
            if recipe.budget is not None:
                pull = budget_term(shares, recipe.budget)
                loss = entropy + recipe.budget_weight * pull
            value = loss.item()
            if not math.isfinite(value):
                place = f"step {step + 1} of {steps_an_epoch}"
                raise _diverged(f"the loss is {value}", epoch, place)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            if average and step % recipe.ema_interval == 0:
                average.update_parameters(model)
                if epoch < recipe.warmup_epochs:
                    # The next update copies again: what an average of the warm-up
                    # keeps of the first weights would stay for long.
                    average.n_averaged.zero_()
            total_loss += entropy.detach() * len(targets)
            total_share += shares.detach().sum()
            main = targets if targets.ndim == 1 else targets.argmax(1)
            correct += (logits.argmax(1) == main).sum()
            if listener:
                listener.step(epoch + 1, step + 1, steps_an_epoch, value)
        seconds = time.perf_counter() - began
        test = evaluate(tested, data.test, workers=workers, price=price)
        # The last step of an epoch can diverge too, and no loss follows that tells.
        if not (math.isfinite(test.loss) and _finite(model) and _finite(tested)):
            raise _diverged("a weight or the test loss is not", epoch, "the last step")
        count = len(data.train)
        row: Row = {
            "epoch": epoch + 1,
            "learning_rate": rate,
            "train_loss": total_loss.item() / count,
            "train_accuracy": correct.item() / count,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "train_seconds": seconds,
            "train_macs_share": total_share.item() / count,
            "test_macs_share": test.macs_share,
        }
        history.append(row)
        _keep(folder, model, average, optimizer, history)
        if listener:
            listener.epoch(row)
    return history


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """Returns a network whose weights will be a moving average of another's.

    The first update copies them. Running statistics are averaged like weights; whole
    numbers, such as indices, are copied: an average of equal ones can round down.

    Args:
        model: The network that is trained.
        decay: What the average keeps of itself at an update, in ``[0, 1)``.
    """
    make: Any = get_ema_multi_avg_fn  # torch gives it no types
    average = make(decay)

    def update(kept: Tensors, new: Tensors, updates: Tensor | int) -> None:
        if kept[0].is_floating_point():
            average(kept, new, updates)
        else:
            for old, value in zip(kept, new, strict=True):
                old.copy_(value)

    return AveragedModel(model, multi_avg_fn=update, use_buffers=True)


def _diverged(what: str, epoch: int, place: str) -> RunError:
    return RunError(
        f"weights and losses must stay finite, {what} in epoch {epoch + 1}, {place}; "
        "the last checkpoint stays"
    )


def _finite(model: nn.Module) -> bool:
    tensors = model.state_dict().values()
    return all(bool(t.isfinite().all()) for t in tensors if t.is_floating_point())


def _device(model: nn.Module) -> torch.device:
    return next(model.parameters()).device


def _keep(
    folder: RunFolder,
    model: nn.Module,
    average: AveragedModel | None,
    optimizer: torch.optim.Optimizer,
    history: Sequence[Row],
) -> None:
    state: dict[str, Any] = {
        "model": (average.module if average else model).state_dict(),
        "optimizer": optimizer.state_dict(),
        "history": list(history),
        "rng": torch.get_rng_state(),
    }
    if average:
        state["trained"] = model.state_dict()
        state["averaged"] = int(average.n_averaged)
    if _device(model).type == "cuda":
        state["cuda_rng"] = torch.cuda.get_rng_state(_device(model))
    folder.write_checkpoint(state)
    folder.write_log(history)


def _restore(
    folder: RunFolder,
    model: nn.Module,
    average: AveragedModel | None,
    optimizer: torch.optim.Optimizer,
    recipe: Recipe,
) -> list[Row]:
    state = folder.read_checkpoint()
    load_weights(average.module if average else model, state["model"], folder)
    try:
        if average:
            load_weights(model, state["trained"], folder)
            average.n_averaged.fill_(state["averaged"])
        history = [dict(row) for row in state["history"]]
        if not all(isinstance(v, int | float) for row in history for v in row.values()):
            raise ValueError("its history holds something else than numbers")
        if not 1 <= len(history) <= recipe.epochs:
            raise ValueError(f"{len(history)} epochs of {recipe.epochs}")
        optimizer.load_state_dict(state["optimizer"])
        torch.set_rng_state(state["rng"])
        if "cuda_rng" in state and _device(model).type == "cuda":
            torch.cuda.set_rng_state(state["cuda_rng"], _device(model))
    except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise RunError(
            f"{folder.checkpoint_path} must be a checkpoint of this run: {error}"
        ) from error
    return history


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
