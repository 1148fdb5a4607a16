"""What is trained: a task gives the loop its data, its loss and its evaluation."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.utils.data import Dataset, default_collate

from ddw_graph.training.bad_images import BadImage
from ddw_graph.training.execution import Execution
from ddw_graph.training.keys import Key
from ddw_graph.training.log import Row
from ddw_graph.training.recipe import BaseRecipe
from ddw_graph.training.world import World

Network = Any
"""The module that a task trains: a ``Network``, or a detector."""


class Evaluating(NamedTuple):
    """The circumstances of an evaluation."""

    epoch: int
    """Epochs that are finished, this one included."""
    last: bool
    """Whether training ends here, so that what a run keeps is written."""
    folder: Path
    """The run's."""
    world: World
    workers: int


class Task(ABC):
    """A network to train, with its data, loss and evaluation.

    The loop does everything else: order, learning rates, accumulation, mixed precision,
    several processes, averaged weights, checkpoints and logs.

    Args:
        network: What is trained, with a ``config``; on the device where it trains.
    """

    name: str
    """The task in a run's configuration."""

    fewest: int = 1
    """Samples that a process needs in a step: 2 for batch normalisation."""

    bad: Sequence[BadImage] = ()
    """Samples that cannot be read and were left out."""

    def __init__(self, network: Network, recipe: BaseRecipe) -> None:
        self.network = network
        self.recipe = recipe

    @property
    @abstractmethod
    def train(self) -> Dataset[Any]:
        """The samples to train on. Whatever they draw from torch's global generator
        depends on seed, epoch and index only."""

    @staticmethod
    def collate(samples: Sequence[Any]) -> Any:
        """Returns a batch of samples: a tuple of columns, tensors or lists."""
        return tuple(default_collate(list(samples)))

    @abstractmethod
    def data_dict(self) -> dict[str, Any]:
        """Returns what identifies the data, ready for JSON."""

    def notes(self) -> dict[str, Any]:
        """Returns what a run's ``config.json`` holds besides its configuration."""
        return {}

    @abstractmethod
    def check(self, execution: Execution) -> None:
        """Checks that network, data, recipe and execution go together.

        Raises:
            UserError: If they do not.
        """

    def mix(self, batch: Any, key: Key, step: int) -> Any:
        """Returns a batch on its device, changed as a whole, such as by MixUp."""
        return batch

    @abstractmethod
    def loss(self, forward: nn.Module, batch: Any, count: int) -> dict[str, Tensor]:
        """Returns what is minimised, and what the log averages.

        Args:
            forward: Computes the network: compiled or distributed where asked for.
            batch: A batch, or a part of one.
            count: Its first samples, which count; others stand in for missing ones.

        Returns:
            ``objective``, the mean over the samples that is minimised, connected to
            every parameter even where ``count`` is 0; and by any other name the sum
            over the samples of what the log has the mean of as ``train_NAME``. There
            is a ``loss`` among them.
        """

    @abstractmethod
    def evaluate(self, network: Network, now: Evaluating) -> Row:
        """Returns the other columns of an epoch's line in the log."""

    @abstractmethod
    def result(self, network: Network, history: Sequence[Row]) -> dict[str, Any]:
        """Returns the result of a run from the network that was evaluated last."""
