"""Several listeners of one training."""

from collections.abc import Sequence

from ddw_graph.training.log import Row
from ddw_graph.training.loop import Listener


class Listeners:
    """Hands what it hears of a training on to several listeners, in their order.

    Args:
        listeners: Who hears of it.
    """

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self.listeners = tuple(listeners)

    def step(self, epoch: int, step: int, steps: int, loss: float) -> None:
        """Tells each listener of a step."""
        for listener in self.listeners:
            listener.step(epoch, step, steps, loss)

    def epoch(self, row: Row) -> None:
        """Tells each listener of an epoch."""
        for listener in self.listeners:
            listener.epoch(row)
