"""The training loop of detectors."""

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from ddw_graph.detection.coco import CocoData
from ddw_graph.detection.detector import Boxes, Detector
from ddw_graph.detection.evaluation import boxes_found
from ddw_graph.detection.figures import coco_figures
from ddw_graph.detection.loading import batches
from ddw_graph.detection.recipe import DetectionRecipe
from ddw_graph.errors import RunError
from ddw_graph.nn.finite import first_not_finite
from ddw_graph.training.execution import Execution
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import Waits, batch_sizes, worker_faults
from ddw_graph.training.loop import Listener
from ddw_graph.training.recipe import parameter_groups
from ddw_graph.training.run import Row, RunFolder
from ddw_graph.training.state import load_weights
from ddw_graph.training.world import World

LOSSES = ("loss_classifier", "loss_box_reg", "loss_objectness", "loss_rpn_box_reg")
"""The terms of the loss, as torchvision names them."""


def fit_detector(
    detector: Detector,
    train: CocoData,
    val: CocoData,
    recipe: DetectionRecipe,
    *,
    seed: int,
    folder: RunFolder,
    execution: Execution = Execution(),  # noqa: B008 (frozen)
    world: World = World(),  # noqa: B008 (frozen)
    listener: Listener | None = None,
    workers: int = 0,
) -> list[Row]:
    """Trains a detector and returns its log; goes on after the last checkpoint.

    A checkpoint is written after every epoch, with everything that the rest depends
    on: a resumed run ends with the weights of an uninterrupted one. The log has a line
    an epoch: the terms of the loss, and COCO's figures of ``val`` where they are
    defined.

    Several processes share each batch, and each normalises its own images.

    Args:
        detector: On the device where it trains.
        train: Images to train on; those without an object are left out.
        val: Images to test on after each epoch.
        recipe: The recipe.
        seed: Fixes order, flips and what is sampled: torch's global generator is seeded
            at each step.
        folder: Where checkpoints and log go; every process must see it.
        execution: How steps are computed; see ``check_execution``.
        world: The processes that train together.
        listener: Hears of steps and epochs.
        workers: Processes that load images.

    Raises:
        RunError: If the loss is not finite: no step is made and nothing is written
            then, so the last good checkpoint stays; if the checkpoint is of another
            detector; if a batch has fewer images than there are processes; or if
            steps cannot be computed so.
        DataError: If an image cannot be read.
    """
    if recipe.batch_size < world.size:
        raise RunError(
            f"batch_size must be at least 1 image for each of {world.size} processes, "
            f"got {recipe.batch_size}"
        )
    check_execution(execution)
    detector = execution.laid_out(detector)
    optimizer = torch.optim.SGD(
        parameter_groups(detector, recipe),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
    )
    trainer = _Trainer(
        detector,
        train.trainable(),
        val,
        recipe,
        seed,
        folder,
        execution,
        world,
        listener,
        workers,
        optimizer,
        execution.scaler(next(detector.parameters()).device),
        [],
    )
    with execution.settled(), worker_faults():
        return trainer.run()


def check_execution(execution: Execution) -> None:
    """Checks that a detector's steps can be computed so.

    Precision and layout are a choice. Its images differ in size, so that
    nothing would be compiled for long, and each step takes them one by one already.

    Raises:
        RunError: If something else is asked for.
    """
    free = {"precision", "channels_last"}
    others = sorted(set(execution.as_dict()) - free)
    if others:
        raise RunError(
            f"a detector's steps take precision and channels_last, got "
            f"{', '.join(others)}"
        )


@dataclass(frozen=True)
class _Trainer:
    """One training, with what its steps need; see ``fit_detector``."""

    detector: Detector
    train: CocoData
    val: CocoData
    recipe: DetectionRecipe
    seed: int
    folder: RunFolder
    execution: Execution
    world: World
    listener: Listener | None
    workers: int
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    history: list[Row]

    def run(self) -> list[Row]:
        """Trains to the end and returns the log."""
        with self.world.together(self.device):
            if self.folder.checkpoint_path.exists():
                self._restore()
                if self.world.leads:
                    self.folder.write_log(self.history)
        forward = self.execution.forward_of(self.detector, self.world)
        while self.epoch < self.recipe.epochs:
            row = self._train(forward) | self._tested()
            self.history.append(row)
            with self.world.together(self.device):
                if self.world.leads:
                    self._keep()
            if self.listener:
                self.listener.epoch(row)
        return self.history

    @property
    def epoch(self) -> int:
        """Epochs that are finished."""
        return len(self.history)

    @property
    def device(self) -> torch.device:
        """Where the detector is."""
        device: torch.device = next(self.detector.parameters()).device
        return device

    @cached_property
    def batch_sizes(self) -> list[int]:
        """Images of each step of an epoch, those of all processes."""
        return batch_sizes(len(self.train.images), self.recipe.batch_size)

    def _train(self, forward: nn.Module) -> Row:
        """Makes the steps of an epoch, and returns its line of the log."""
        self.detector.train()
        key = Key(self.seed, self.epoch)
        draws = key.generator(Purpose.ORDER)
        order = torch.randperm(len(self.train.images), generator=draws)
        wholes = torch.split(order, self.batch_sizes)
        shares = [part.tensor_split(self.world.size) for part in wholes]
        own = [each[self.world.rank] for each in shares]
        began = time.perf_counter()
        loader = Waits(
            batches(
                self.train,
                # A process without an image takes one that counts nothing.
                [
                    (mine if len(mine) else whole[:1]).tolist()
                    for mine, whole in zip(own, wholes, strict=True)
                ],
                channels=self.detector.in_channels,
                flip=key if self.recipe.flip else None,
                workers=self.workers,
            )
        )
        sums = torch.zeros(len(LOSSES), dtype=torch.float64)
        rate, steps = 0.0, len(wholes)
        for step, (_, images, boxes) in enumerate(loader):
            made = self.epoch * steps + step
            rate = self.recipe.learning_rate_at(made, self.epoch)
            share = len(own[step]) / len(wholes[step])
            terms = self._step(forward, images, boxes, key, step, rate, share)
            sums += terms * len(wholes[step])
            if self.listener:
                loss = float(terms.sum())
                self.listener.step(self.epoch + 1, step + 1, steps, loss)
        means = (sums / len(order)).tolist()
        return {
            "epoch": self.epoch + 1,
            "learning_rate": rate,
            "train_loss": sum(means),
            **dict(zip(LOSSES, means, strict=True)),
            "data_seconds": loader.seconds,
            "train_seconds": time.perf_counter() - began,
        }

    def _step(
        self,
        forward: nn.Module,
        images: list[Tensor],
        boxes: list[Boxes],
        key: Key,
        step: int,
        rate: float,
        share: float,
    ) -> Tensor:
        """Makes a step and returns the terms of the loss of the whole batch.

        Args:
            forward: Computes the losses.
            images: Those of this process.
            boxes: Theirs.
            key: Names the epoch's draws.
            step: The step.
            rate: The learning rate.
            share: Of the batch, that these images are.

        Raises:
            RunError: If the loss is not finite, before anything has changed.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["scale"]
        # What samplers and dropout draw depends on nothing that happened before.
        draws = key.generator(Purpose.DROPS, step, self.world.rank)
        torch.manual_seed(draws.initial_seed())
        first = next(self.detector.parameters())
        with self.execution.autocast(first.device):
            losses = forward(
                [image.to(first.device, first.dtype) for image in images],
                [{k: v.to(first.device) for k, v in each.items()} for each in boxes],
            )
        terms = torch.stack([losses[name] for name in LOSSES]) * share
        self.optimizer.zero_grad(set_to_none=True)
        told = self.world.total(terms.detach().double()).cpu()
        if not told.isfinite().all():
            raise self._diverged(
                f"the loss is {float(told.sum())}",
                f"step {step + 1} of {len(self.batch_sizes)}",
            )
        # Gradients are averaged over processes, whatever each has of the batch.
        loss = self.scaler.scale(terms.sum() * self.world.size)
        torch.autograd.backward(loss)
        if self.recipe.clip_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.detector.parameters(), self.recipe.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        return told

    def _tested(self) -> Row:
        """Returns COCO's figures of the detector as it is, those that are defined."""
        self.world.follow(self.detector.buffers())
        # The last step of an epoch can diverge too, and no loss follows that tells.
        if first_not_finite(self.detector.state_dict()):
            raise self._diverged("a weight is not", "the last step")
        found = boxes_found(
            self.detector, self.val, workers=self.workers, world=self.world
        )
        figures = coco_figures(self.val, found)
        return {name: value for name, value in figures.items() if value is not None}

    def _keep(self) -> None:
        state = {
            "model": self.detector.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": list(self.history),
        }
        if self.scaler.is_enabled():
            state["scaler"] = self.scaler.state_dict()
        self.folder.write_checkpoint(state)
        self.folder.write_log(self.history)

    def _restore(self) -> None:
        """Goes on where the last checkpoint was written."""
        state = self.folder.read_checkpoint()
        load_weights(self.detector, state["model"], self.folder)
        try:
            history = [dict(row) for row in state["history"]]
            numbers = [value for row in history for value in row.values()]
            if not all(isinstance(value, int | float) for value in numbers):
                raise ValueError("its history holds something else than numbers")
            if not 1 <= len(history) <= self.recipe.epochs:
                raise ValueError(f"{len(history)} epochs of {self.recipe.epochs}")
            self.optimizer.load_state_dict(state["optimizer"])
            if self.scaler.is_enabled():
                self.scaler.load_state_dict(state["scaler"])
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError) as error:
            raise RunError(
                f"{self.folder.checkpoint_path} must be a checkpoint of this run: "
                f"{error}"
            ) from error
        self.history[:] = history

    def _diverged(self, what: str, place: str) -> RunError:
        return RunError(
            f"weights and losses must stay finite, {what} in epoch {self.epoch + 1}, "
            f"{place}; the last checkpoint stays"
        )
