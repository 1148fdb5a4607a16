"""What the tasks of networks have in common: cost, evaluation, result."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from torch.utils.data import Dataset

from ddw_graph.nn.cost import NetworkCost
from ddw_graph.nn.network import Network
from ddw_graph.training.edge_log import edge_rows, write_edge_log
from ddw_graph.training.evaluation import evaluate
from ddw_graph.training.image_data import ImageData
from ddw_graph.training.log import Row
from ddw_graph.training.recipe import Recipe
from ddw_graph.training.task import Evaluating, Task
from ddw_graph.training.text_data import TextData


class Prediction(Task):
    """A network that is trained by the cross-entropy of what it predicts."""

    default_model: str
    """The network that is trained where none is named."""

    def __init__(
        self, network: Network, data: ImageData | TextData, recipe: Recipe
    ) -> None:
        super().__init__(network, recipe)
        self.recipe: Recipe = recipe
        self.data: Any = data
        self.bad = data.bad

    @cached_property
    def test(self) -> Dataset[Any]:
        """The samples to test on, as the network sees them."""
        samples: Dataset[Any] = self.data.inputs("test", self.network)
        return samples

    @cached_property
    def price(self) -> NetworkCost:
        """What the network costs."""
        price: NetworkCost = self.data.cost(self.network)
        return price

    def data_dict(self) -> dict[str, Any]:
        """Returns what identifies the data, ready for JSON."""
        return dict(self.data.as_dict())

    def notes(self) -> dict[str, Any]:
        """Returns where the data come from."""
        source = self.data.source
        return {"source": None if source is None else source.as_dict()}

    def evaluate(self, network: Network, now: Evaluating) -> Row:
        """Returns loss, accuracy and share of the MACs on the samples to test on.

        Writes the epoch's rows of ``wiring.csv`` and, after the last epoch, the edge
        weights of each of them to the folder ``analysis``.
        """
        found = evaluate(
            network,
            self.test,
            workers=now.workers,
            price=self.price,
            world=now.world,
            classes=self.data.classes,
            collection=now.folder / "analysis" if now.last else None,
        )
        with now.world.together(found.weights.device):
            if now.world.leads:
                rows = edge_rows(found.edges, found.weights, found.samples, now.epoch)
                write_edge_log(now.folder, rows)
        return {
            "test_loss": found.loss,
            "test_accuracy": found.accuracy,
            "test_macs_share": found.macs_share,
        }

    def result(self, network: Network, history: Sequence[Row]) -> dict[str, Any]:
        """Returns accuracy, losses, time and cost."""
        last, price = history[-1], self.price
        return {
            **{key: last[key] for key in ("test_accuracy", "test_loss", "train_loss")},
            "epochs": len(history),
            "train_seconds": sum(row["train_seconds"] for row in history),
            "parameters": price.parameters,
            "total_macs": price.total_macs,
            "expected_macs": last["test_macs_share"] * price.total_macs,
        }
