"""The training loop: one algorithm for every task."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ddw_graph.errors import RunError
from ddw_graph.training.execution import Execution
from ddw_graph.training.keys import Key, Purpose
from ddw_graph.training.loading import (
    Waits,
    batch_sizes,
    training_batches,
    worker_faults,
)
from ddw_graph.training.log import Row
from ddw_graph.training.recipe import BaseRecipe
from ddw_graph.training.run_folder import RunFolder
from ddw_graph.training.state import TrainingState
from ddw_graph.training.task import Evaluating, Task
from ddw_graph.training.world import World


@runtime_checkable  # as checks of types at run time need
class Listener(Protocol):
    """An object whose methods are called as training proceeds."""

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Called after a step, with the number of its epoch, its own and of steps."""

    def epoch(self, row: Row) -> None:
        """Called after an epoch, with its line of the log."""


@dataclass(frozen=True)
class Training:
    """A training: a task with everything that its steps need.

    Args:
        seed: Fixes order, augmentation, dropout and DropPath: torch's global generator
            is seeded at each step.
        folder: Where checkpoints and the log go; every process must see it.
        workers: Processes that load data.
        checkpoint_steps: Steps of an epoch after which a checkpoint is written, in
            addition to the one after each epoch.
    """

    task: Task
    seed: int
    folder: RunFolder
    execution: Execution = Execution()
    world: World = World()
    listeners: Sequence[Listener] = ()
    workers: int = 0
    checkpoint_steps: int | None = None

    def __post_init__(self) -> None:
        """Checks that processes can share the steps."""
        parts = self.world.size * self.execution.accumulate
        check_steps(self.recipe, self.task.fewest, parts, self.checkpoint_steps)

    @property
    def recipe(self) -> BaseRecipe:
        """How it is trained."""
        return self.task.recipe

    @cached_property
    def state(self) -> TrainingState:
        """What changes as the network learns."""
        return TrainingState(self.task.network, self.recipe, self.execution)

    @cached_property
    def sizes(self) -> list[int]:
        """Samples in each step of an epoch, those of all processes."""
        count = len(self.task.train)  # type: ignore[arg-type]
        return batch_sizes(count, self.recipe.batch_size)

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        device: torch.device = next(self.task.network.parameters()).device
        return device


def fit(training: Training) -> list[Row]:
    """Trains to the end and returns the log; resumes after the last checkpoint.

    A checkpoint is written after every epoch, with everything that the rest depends on:
    a resumed run ends with the weights of an uninterrupted one. Where the recipe
    averages weights, their average is evaluated, and is the checkpoint's ``model``.

    Several processes share each batch: process r computes its r-th part, and the step
    that all of them make is that of the whole batch. Normalisation and mixing of images
    are each process's own.

    In the log, ``train_NAME`` is the mean of a task's NAME over the samples of the
    epoch. ``data_seconds``, a part of ``train_seconds``, is the time that steps of the
    first process waited for data.

    Raises:
        RunError: If a loss or weight is not finite: no further checkpoint is written
            then, so that the last good one stays; if the checkpoint is of another
            network; or if a process that loads data is killed.
        DataError: If a sample cannot be read.
    """
    task, world = training.task, training.world
    if training.execution.channels_last:
        task.network.to(memory_format=torch.channels_last)
    state = training.state
    devices = [training.device] if training.device.type == "cuda" else []
    with (
        training.execution.in_effect(),
        worker_faults(),
        torch.random.fork_rng(devices=devices),
    ):
        _resume(training)
        forward = training.execution.forward_of(task.network, world)
        while state.epoch < training.recipe.epochs:
            rate = train_epoch(training, forward)
            row = _row(training, rate) | _evaluated(training)
            state.end_epoch(row)
            _keep(training)
            for listener in training.listeners:
                listener.epoch(row)
    return state.history


def train_epoch(training: Training, forward: nn.Module) -> float:
    """Makes the steps that are left of an epoch; returns the rate of the last one.

    The sums of a step are read during the next one, so that a GPU never waits for them.
    """
    task, state, world = training.task, training.state, training.world
    key, sizes = Key(training.seed, state.epoch), training.sizes
    task.network.train()
    data = Waits(
        training_batches(
            task.train,
            training.recipe.batch_size,
            key,
            fewest=task.fewest,
            start=state.step,
            workers=training.workers,
            world=world,
            pin=training.device.type == "cuda",
            collate=task.collate,
        )
    )
    reading = _Reading(training, data)
    rate = 0.0
    for step, (loaded, count) in enumerate(data, start=state.step):
        # What dropout draws depends on nothing that happened before.
        draws = key.generator(Purpose.DROPS, step, world.rank)
        torch.manual_seed(draws.initial_seed())
        batch = training.execution.to_network(loaded, task.network)
        batch = task.mix(batch, key, step)
        state.optimizer.zero_grad(set_to_none=True)
        sums: dict[str, Tensor] = {}
        for part, own, synchronised in _parts(training, forward, batch, count, step):
            with synchronised:
                with training.execution.autocast(training.device):
                    terms = task.loss(forward, part, own)
                # Gradients are averaged over processes, whatever each has of the batch.
                share = terms.pop("objective") * (own / sizes[step])
                torch.autograd.backward(state.scaler.scale(share * world.size))
            terms["objective"] = share.detach()
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value.detach().double()
        reading.next(step, sums)
        done, steps = state.epoch * len(sizes) + step, len(sizes)
        rate = training.recipe.learning_rate_at(done, steps * training.recipe.epochs)
        state.update(rate)
        state.update_average(len(sizes) - step - 1)
        every = training.checkpoint_steps
        if every and (step + 1) % every == 0 and step + 1 < len(sizes):
            reading.finish()
            _keep(training)
    reading.finish()
    return rate


class _Reading:
    """Reads the sums of each step during the next one, and adds them to the state's."""

    def __init__(self, training: Training, data: Waits) -> None:
        self.training = training
        self.data = data
        self.began = time.perf_counter()
        tally = training.state.tally
        self.before = tally.get("seconds", 0.0), tally.get("waited", 0.0)
        self.pending: tuple[int, list[str], Tensor] | None = None
        self.ready: torch.cuda.Event | None = None

    def next(self, step: int, sums: dict[str, Tensor]) -> None:
        """Reads the sums of the step before, and takes those of a step."""
        total = self.training.world.total(torch.stack(list(sums.values())))
        values, ready = total.to("cpu", non_blocking=True), None
        if total.is_cuda:
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        # After this step was queued: the one before has ended, or soon will.
        self.finish()
        self.pending, self.ready = (step, list(sums), values), ready

    def finish(self) -> None:
        """Reads what has not been read yet; a loss that is not finite is an error."""
        if self.pending is None:
            return
        training, (step, names, values) = self.training, self.pending
        state, steps = training.state, len(training.sizes)
        self.pending = None
        if self.ready is not None:
            self.ready.synchronize()
        sums = dict(zip(names, values.tolist(), strict=True))
        objective = sums.pop("objective")
        if not math.isfinite(objective):
            place = f"step {step + 1} of {steps}"
            raise _diverged(state, f"the loss is {objective}", place)
        sums["samples"] = training.sizes[step]
        for name, value in sums.items():
            state.tally[name] = state.tally.get(name, 0.0) + value
        seconds, waited = self.before
        state.tally["seconds"] = seconds + time.perf_counter() - self.began
        state.tally["waited"] = waited + self.data.seconds
        state.step = step + 1
        for listener in training.listeners:
            listener.step(state.epoch + 1, step + 1, steps, objective)


def _parts(
    training: Training, forward: nn.Module, batch: Any, count: int, step: int
) -> Iterator[tuple[Any, int, AbstractContextManager[Any]]]:
    """Yields the parts in which a process computes its samples of a step.

    With each come how many of its samples count, and the context in which gradients are
    shared: by the last part only. Every process has as many parts.
    """
    world, fewest = training.world, training.task.fewest
    most = training.sizes[step] // world.size // fewest
    parts = min(training.execution.accumulate, max(1, most))
    for place, part in enumerate(split(batch, parts), start=1):
        waits = world.size > 1 and place < parts
        own = min(length(part), count)
        count -= own
        yield part, own, forward.no_sync() if waits else nullcontext()  # type: ignore[operator]


def split(batch: Any, parts: int) -> list[Any]:
    """Returns a batch of tensors and lists in parts of nearly equal length.

    Example:
        >>> split((torch.arange(3), ["a", "b", "c"]), 2)
        [(tensor([0, 1]), ['a', 'b']), (tensor([2]), ['c'])]
    """
    if parts == 1:
        return [batch]
    if isinstance(batch, Tensor):
        return list(batch.tensor_split(parts))
    if isinstance(batch, tuple):
        return list(zip(*(split(column, parts) for column in batch), strict=True))
    ends = [part.tolist() for part in torch.arange(len(batch)).tensor_split(parts)]
    return [[batch[place] for place in part] for part in ends]


def length(batch: Any) -> int:
    """Returns the number of samples in a batch of tensors and lists."""
    return length(batch[0]) if isinstance(batch, tuple) else len(batch)


def check_steps(
    recipe: BaseRecipe, fewest: int, parts: int, checkpoint_steps: int | None
) -> None:
    """Checks that batches have samples for every part, those of all processes."""
    if checkpoint_steps is not None and checkpoint_steps < 1:
        raise RunError(f"checkpoint_steps must be at least 1, got {checkpoint_steps}")
    if parts > 1 and recipe.batch_size < fewest * parts:
        raise RunError(
            f"batch_size must be at least {fewest * parts}, {fewest} for each of "
            f"{parts} parts (processes times accumulate), got {recipe.batch_size}"
        )


def _resume(training: Training) -> None:
    """Resumes after the last checkpoint, if there is one, in every process alike."""
    state, folder, world = training.state, training.folder, training.world
    with world.together(training.device):
        if folder.checkpoint_path.exists():
            try:
                state.restore(folder.read_checkpoint())
            except RunError as error:
                raise RunError(f"{folder.checkpoint_path}: {error}") from error
            if world.leads:
                folder.write_log(state.history)
    own = [state.epoch, state.step, training.checkpoint_steps or 0]
    place = torch.tensor(own, device=training.device)
    same = world.total(place.clone()) == place * world.size
    if not same[:2].all():
        raise RunError(
            "every process must read the same checkpoint, got another in some: is "
            f"{folder.path} on a file system that all of them see?"
        )
    if not same[2]:
        raise RunError(
            "every process must write checkpoints after the same steps, got "
            f"checkpoint_steps {training.checkpoint_steps} in this one"
        )


def _evaluated(training: Training) -> Row:
    """Returns the columns of the log that the evaluation gives."""
    state, world = training.state, training.world
    for network in (state.network, state.evaluated):
        world.follow(network.buffers())
    # The last step of an epoch can diverge too, and no loss follows that shows it.
    if not state.is_finite():
        raise _diverged(state, "a weight or statistic is not", "the last step")
    last = state.epoch + 1 == training.recipe.epochs
    now = Evaluating(
        state.epoch + 1, last, training.folder.path, world, training.workers
    )
    row = training.task.evaluate(state.evaluated, now)
    if not all(map(math.isfinite, row.values())):
        raise _diverged(state, "the test loss is not", "the last step")
    return row


def _row(training: Training, rate: float) -> Row:
    """Returns the columns of the log that training gives."""
    state = training.state
    means = dict(state.tally)
    seconds, waited = means.pop("seconds"), means.pop("waited")
    samples = means.pop("samples")
    return {
        "epoch": state.epoch + 1,
        "learning_rate": rate,
        **{f"train_{name}": value / samples for name, value in means.items()},
        "train_seconds": seconds,
        "data_seconds": waited,
    }


def _keep(training: Training) -> None:
    """Writes a checkpoint and the log."""
    state, folder = training.state, training.folder
    with training.world.together(training.device):
        if training.world.leads:
            # Statistics can overflow before a loss shows it; at the end of an epoch the
            # evaluation has shown it.
            if state.step and not state.is_finite():
                place = f"step {state.step} of {len(training.sizes)}"
                raise _diverged(state, "a weight or statistic is not", place)
            folder.write_checkpoint(state.as_dict())
            folder.write_log(state.history)


def _diverged(state: TrainingState, what: str, place: str) -> RunError:
    return RunError(
        f"weights and losses must stay finite, {what} in epoch {state.epoch + 1}, "
        f"{place}; the last checkpoint stays: try a lower learning rate"
    )
