"""The log of a training for TensorBoard."""

import warnings
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ddw_graph.errors import RunError
from ddw_graph.training.log import Row

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

LOG_STEPS = 50
"""Steps of a training between two losses of single steps."""


class TensorBoard(AbstractContextManager["TensorBoard"]):
    """Writes losses of steps and the log of epochs as scalars; a ``Listener``.

    ``step/loss`` is the loss of every ``LOG_STEPS``-th step, over steps of the whole
    training. Each column of the log, such as ``train/loss`` and ``test/loss``, is over
    epochs. A resumed run replaces the steps after its last checkpoint.

    Args:
        folder: Where the events go; made with the first of them, since a run begins in
            an empty folder.

    Raises:
        RunError: If TensorBoard is not installed.
    """

    def __init__(self, folder: Path) -> None:
        try:
            with warnings.catch_warnings(action="ignore"):
                from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RunError(
                "TensorBoard is an extra: pip install 'ddw_graph[tensorboard]'"
            ) from error
        self.folder = folder
        self._make: type[SummaryWriter] = SummaryWriter
        self._made: SummaryWriter | None = None

    def __exit__(self, *failure: Any) -> None:
        """Writes what is left, also where the training failed."""
        if self._made is not None:
            self._made.close()

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Writes the loss of a step, if it is its turn."""
        made = (epoch - 1) * steps + step
        writer = self._writer(purge_step=made)
        if made % LOG_STEPS == 0:
            writer.add_scalar("step/loss", loss, made)

    def epoch(self, row: Row) -> None:
        """Writes an epoch's line of the log."""
        place = int(row["epoch"])
        writer = self._writer()
        for name, value in row.items():
            split, _, rest = name.partition("_")
            if split in ("train", "test"):
                writer.add_scalar(f"{split}/{rest}", value, place)
            elif name != "epoch":
                writer.add_scalar(name, value, place)
        writer.flush()

    def _writer(self, purge_step: int | None = None) -> "SummaryWriter":
        """Returns the writer, which hides what another wrote from ``purge_step`` on."""
        if self._made is None:
            self._made = self._make(str(self.folder), purge_step=purge_step)
        return self._made
