"""The training loop."""

import math
import time
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

from ddw_graph.errors import DataError, RunError
from ddw_graph.nn.cost import NetworkCost, cost
from ddw_graph.nn.network import Network
from ddw_graph.training.augmentation import Augmentation, Targets, mixed
from ddw_graph.training.bad_images import BadImageLog
from ddw_graph.training.budget_term import budget_term, mac_shares
from ddw_graph.training.data import ImageData
from ddw_graph.training.evaluation import Evaluation, evaluate
from ddw_graph.training.execution import Execution
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import Waits, batch_sizes, batches, worker_faults
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.run import Row, RunFolder
from ddw_graph.training.state import TALLY, TrainingState
from ddw_graph.training.wiring_log import (
    edge_rows,
    weighted_edges,
    write_wiring_log,
)
from ddw_graph.training.world import World


@runtime_checkable
class Listener(Protocol):
    """Hears how a training goes."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Hears of a step: the epoch, the steps made in it and to make, its loss."""

    def epoch(self, row: Row) -> None:
        """Hears of an epoch: its line of the log."""


def fit(
    model: Network,
    data: ImageData,
    recipe: Recipe,
    *,
    seed: int,
    folder: RunFolder,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    world: World = World(),  # noqa: B008 (frozen)
    listener: Listener | None = None,
    workers: int = 0,
    checkpoint_steps: int | None = None,
) -> list[Row]:
    """Trains a network and returns its log; goes on after the folder's last checkpoint.

    A checkpoint is written after every epoch, with everything that the rest depends
    on: a resumed run ends with the weights of an uninterrupted one. Where the recipe
    averages weights, the average is what is tested, and the checkpoint's ``model``.

    Several processes share each batch: process r computes its r-th part, and the step
    that all of them make is that of the whole batch. Normalisation and mixing of images
    are each process's own.

    The log's training loss is that of the targets as trained on, mixed and smoothed,
    without the budget's term; its training accuracy counts an image as right where the
    class with the largest share of its target is predicted. ``train_macs_share`` and
    ``test_macs_share`` are means of the MACs that an image's wiring asks for, in shares
    of those with every edge open: expected, not measured. In training what DropPath
    closes counts as closed. ``data_seconds``, a part of ``train_seconds``, is how long
    the steps of the process that writes waited for images.

    Images that cannot be read, where the data leaves them out, are named in the
    folder's ``bad_images.csv``, and counted in the log. Means are over the images that
    are left; a step without any is not made.

    Args:
        model: The network, on the device where it trains.
        data: The images.
        recipe: The recipe.
        seed: Fixes order and augmentation, and what dropout and DropPath draw: torch's
            global generator is seeded at each step.
        folder: Where checkpoints and log go; every process must see it.
        execution: How steps are computed.
        world: The processes that train together.
        listener: Hears of steps and epochs.
        workers: Processes that load images.
        checkpoint_steps: Steps of an epoch after which a checkpoint is written too.

    Raises:
        RunError: If the loss or what a checkpoint would keep is not finite: nothing is
            written then, so the last good checkpoint stays; if the checkpoint is of
            another network; if a batch has too few images for the processes; or if a
            process that loads is killed.
        DataError: If an image cannot be read, and is not to be left out.
    """
    check_steps(recipe, execution, world, checkpoint_steps)
    model = execution.laid_out(model)
    trainer = _Trainer(
        data,
        recipe,
        seed,
        folder,
        execution,
        world,
        listener,
        workers,
        checkpoint_steps,
        TrainingState(model, recipe, execution),
        cost(model, data.image_size),
    )
    with execution.settled(), worker_faults():
        return trainer.run()


def check_steps(
    recipe: Recipe,
    execution: Execution,
    world: World = World(),  # noqa: B008 (frozen)
    checkpoint_steps: int | None = None,
) -> None:
    """Checks that processes can share a recipe's steps, before anything is made.

    Args:
        recipe: The recipe.
        execution: How steps are computed.
        world: The processes.
        checkpoint_steps: See ``fit``.

    Raises:
        RunError: If a batch has too few images for them, or checkpoints are written
            after less than one step.
    """
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise RunError(f"checkpoint_steps must be at least 1, got {checkpoint_steps}")
    if recipe.batch_size < 2 * world.size and world.size > 1:
        raise RunError(
            f"batch_size must be at least 2 images for each of {world.size} processes, "
            f"got {recipe.batch_size}"
        )
    parts = execution.accumulate
    if parts > 1 and recipe.batch_size < 2 * world.size * parts:
        raise RunError(
            f"batch_size must be at least 2 images for each of {parts} parts of each "
            f"of {world.size} processes, got {recipe.batch_size} with accumulate "
            f"{parts}"
        )


@dataclass(frozen=True)
class _Trainer:
    """One training, with what its steps need; see ``fit``."""

    data: ImageData
    recipe: Recipe
    seed: int
    folder: RunFolder
    execution: Execution
    world: World
    listener: Listener | None
    workers: int
    checkpoint_steps: int | None
    state: TrainingState
    price: NetworkCost

    def run(self) -> list[Row]:
        """Trains to the end and returns the log."""
        state = self.state
        with self.world.together(self.device):
            if self.folder.checkpoint_path.exists():
                state.restore(self.folder)
                if self.world.leads:
                    self.folder.write_log(state.history)
        self._check_same_start()
        forward = self.execution.forward_of(state.model, self.world)
        while state.epoch < self.recipe.epochs:
            rate = self._train(forward)
            test = self._tested()
            row = self._row(rate, test)
            # Before the checkpoint: what is made again is written again.
            if self.world.leads:
                self._write_wiring(test)
            state.end_epoch(row)
            self._keep()
            if self.listener:
                self.listener.epoch(row)
        return state.history

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.state.model.parameters()).device

    @cached_property
    def batch_sizes(self) -> list[int]:
        """Images of each step of an epoch, those of all processes."""
        return batch_sizes(len(self.data.train), self.recipe.batch_size)

    @cached_property
    def bad(self) -> BadImageLog | None:
        """Hears of images that cannot be read, where they are left out."""
        if not self.data.skips:
            return None
        return BadImageLog(self.folder.path, self.world.rank)

    def _check_same_start(self) -> None:
        state = self.state
        own = [state.epoch, state.step, self.checkpoint_steps or 0]
        place = torch.tensor(own, device=self.device)
        same = self.world.total(place.clone()) == place * self.world.size
        if not same[:2].all():
            raise RunError(
                f"every process must read the same checkpoint, got another in some: is "
                f"{self.folder.path} on a file system that all of them see?"
            )
        if not same[2]:
            raise RunError(
                "every process must write checkpoints after the same steps, got "
                f"checkpoint_steps {self.checkpoint_steps} in this one"
            )

    def _train(self, forward: nn.Module) -> float:
        """Makes the steps of an epoch that are left; returns the last learning rate."""
        state, recipe = self.state, self.recipe
        state.model.train()
        key = Key(self.seed, state.epoch)
        sizes = self.batch_sizes
        rate = 0.0
        began = time.perf_counter()
        before, waited = state.tally["seconds"], state.tally["waited"]
        loader = Waits(
            batches(
                self.data.train,
                recipe.batch_size,
                shuffle=key,
                augment=recipe.augment,
                augmentation=Augmentation(
                    recipe.trivial_augment, recipe.random_erasing, recipe.rand_augment
                ),
                workers=self.workers,
                rank=self.world.rank,
                world_size=self.world.size,
                start=state.step,
                bad=self.bad,
                pin=self.device.type == "cuda",
            )
        )
        for step, (x, labels) in enumerate(loader, start=state.step):
            rate = recipe.learning_rate_at(
                state.epoch * len(sizes) + step, len(sizes) * recipe.epochs
            )
            loss = self._step(forward, x, labels, key, step, rate)
            state.tally["seconds"] = before + time.perf_counter() - began
            state.tally["waited"] = waited + loader.seconds
            state.step = step + 1
            if self.listener:
                self.listener.step(state.epoch + 1, step + 1, len(sizes), loss)
            every = self.checkpoint_steps
            if every and state.step % every == 0 and state.step < len(sizes):
                self._keep()
        return rate

    def _step(
        self,
        forward: nn.Module,
        x: Tensor,
        labels: Tensor,
        key: Key,
        step: int,
        rate: float,
    ) -> float:
        """Makes a step, adds it to the tally, and returns the batch's loss.

        A batch of which no process could read an image makes none, and has no loss.

        Raises:
            RunError: If the loss is not finite, before anything has changed.
        """
        state, recipe, world = self.state, self.recipe, self.world
        for group in state.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        # What dropout draws depends on nothing that happened before.
        draws = key.generator(Purpose.DROPS, step, world.rank)
        torch.manual_seed(draws.initial_seed())
        first = next(state.model.parameters())
        x, targets = mixed(
            x.to(first.device, first.dtype, non_blocking=True),
            labels.to(first.device, non_blocking=True),
            len(self.data.classes),
            key,
            step,
            mixup=recipe.mixup,
            cutmix=recipe.cutmix,
        )
        if self.execution.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        whole = planned = self.batch_sizes[step]
        if self.data.skips:
            read = torch.tensor([float(len(labels))], device=first.device)
            whole = int(world.total(read).item())
            state.tally["bad"] += planned - whole
        if not whole:
            return math.nan
        fills = world.size > 1 or whole < planned
        # As many for each process, however many images it has.
        parts = min(self.execution.accumulate, max(1, whole // world.size // 2))
        sums = torch.zeros(5, dtype=torch.float64, device=first.device)
        state.optimizer.zero_grad(set_to_none=True)
        pieces = zip(x.tensor_split(parts), targets.tensor_split(parts), strict=True)
        for place, (images, wanted) in enumerate(pieces, start=1):
            waits = world.size > 1 and place < parts
            with forward.no_sync() if waits else nullcontext():  # type: ignore[operator]
                sums += self._part(forward, images, wanted, whole, fills)
        *told, loss = world.total(sums).tolist()
        if not math.isfinite(loss):
            words = f"step {step + 1} of {len(self.batch_sizes)}"
            raise self._diverged(f"the loss is {loss}", words)
        if recipe.clip_norm:
            state.scaler.unscale_(state.optimizer)
            nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_norm)
        state.scaler.step(state.optimizer)
        state.scaler.update()
        average = state.average
        if average and step % recipe.ema_interval == 0:
            average.update_parameters(state.model)
            if state.epoch < recipe.warmup_epochs:
                # The next update copies again: what an average of the warm-up
                # keeps of the first weights would stay for long.
                average.n_averaged.zero_()
        for name, value in zip(TALLY, told, strict=False):
            state.tally[name] += value
        return float(loss)

    def _part(
        self,
        forward: nn.Module,
        x: Tensor,
        targets: Targets,
        whole: int,
        fills: bool,
    ) -> Tensor:
        """Computes gradients for some images of a batch.

        Where it ``fills``, images stand in for those that two would need.

        Returns:
            Sums of loss, right predictions, shares of MACs and images; and what these
            images add to the loss of the batch.
        """
        recipe, world = self.recipe, self.world
        count = len(targets)
        # Every process takes part in every step; images that stand in count nothing.
        if count < 2 and fills:
            x = torch.cat([x, x.new_zeros(2 - count, *x.shape[1:])])
        with self.execution.autocast(x.device):
            logits, adjacency = forward(x, return_adjacency=True)
            logits = logits.float() if logits.dtype != torch.float64 else logits
            if count:
                entropy = functional.cross_entropy(
                    logits[:count], targets, label_smoothing=recipe.label_smoothing
                )
                shares = mac_shares(self.price, [m[:count] for m in adjacency])
                loss = entropy
                if recipe.budget is not None:
                    pull = budget_term(shares, recipe.budget)
                    loss = entropy + recipe.budget_weight * pull
            else:
                loss = entropy = 0 * logits.sum()
                shares = logits.new_zeros(0)
            # Gradients are averaged over processes, whatever each has of the batch.
            loss = loss * (count / whole)
        torch.autograd.backward(self.state.scaler.scale(loss * world.size))
        main = targets if targets.ndim == 1 else targets.argmax(1)
        return torch.stack(
            [
                entropy.detach().double() * count,
                (logits[:count].argmax(1) == main).sum().double(),
                shares.detach().double().sum(),
                shares.new_full((), count, dtype=torch.float64),
                loss.detach().double(),
            ]
        )

    def _tested(self) -> Evaluation:
        """Returns how the network does after an epoch."""
        state = self.state
        self.world.follow(state.model.buffers())
        if state.average:
            self.world.follow(state.tested.buffers())
        test = evaluate(
            state.tested,
            self.data.test,
            workers=self.workers,
            price=self.price,
            world=self.world,
            bad=self.bad,
        )
        # The last step of an epoch can diverge too, and no loss follows that tells.
        if not (math.isfinite(test.loss) and state.is_finite()):
            raise self._diverged("a weight or the test loss is not", "the last step")
        return test

    def _write_wiring(self, test: Evaluation) -> None:
        edges = weighted_edges(self.state.model)
        rows = edge_rows(edges, test.weights, test.images, self.state.epoch + 1)
        write_wiring_log(self.folder.path, rows)

    def _row(self, rate: float, test: Evaluation) -> Row:
        """Returns the epoch's line of the log."""
        state = self.state
        tally = state.tally
        images = tally["images"]
        if not images:
            raise DataError(
                f"at least one image must be readable, got {tally['bad']:.0f} bad"
            )
        row = {
            "epoch": state.epoch + 1,
            "learning_rate": rate,
            "train_loss": tally["loss"] / images,
            "train_accuracy": tally["correct"] / images,
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "data_seconds": tally["waited"],
            "train_seconds": tally["seconds"],
            "train_macs_share": tally["share"] / images,
            "test_macs_share": test.macs_share,
        }
        if self.data.skips:
            row["bad_images"] = tally["bad"] + test.bad_images
        return row

    def _keep(self) -> None:
        state = self.state
        with self.world.together(self.device):
            if self.world.leads:
                # Statistics can overflow before any loss tells; at the end of an epoch
                # the test has told.
                if state.step and not state.is_finite():
                    words = f"step {state.step} of {len(self.batch_sizes)}"
                    raise self._diverged("a weight or statistic is not", words)
                self.folder.write_checkpoint(state.as_dict())
                self.folder.write_log(state.history)

    def _diverged(self, what: str, place: str) -> RunError:
        return RunError(
            f"weights and losses must stay finite, {what} in epoch "
            f"{self.state.epoch + 1}, {place}; the last checkpoint stays"
        )
