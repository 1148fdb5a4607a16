"""The wirings of a collection's samples: graphs that are built when asked for."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset
from torch_geometric.data import Data

from ddw_graph.analysis.learning.wiring_graph import sample_graph, stages_graph
from ddw_graph.errors import DataError
from ddw_graph.training.collection import Collection


@dataclass(frozen=True)
class EdgeScale:
    """What an edge's weight is usually, and how far it strays from that.

    The weights of two edges may differ far more than those of one edge over samples.

    Args:
        mean: Of each edge.
        std: Of each edge; 1 where it does not vary.
    """

    mean: Float[Tensor, " edges"]
    std: Float[Tensor, " edges"]

    @classmethod
    def of(cls, weights: Float[np.ndarray, "samples edges"]) -> "EdgeScale":
        """Returns the scale of some samples: those that are learned from."""
        exact = np.asarray(weights, np.float64)
        std = exact.std(0)
        # Rounding leaves a little also where nothing varies.
        std[np.ptp(weights, axis=0) == 0] = 1
        return cls(
            torch.from_numpy(exact.mean(0)).float(), torch.from_numpy(std).float()
        )

    def deviations(self, graph: Data) -> Float[Tensor, " edges"]:
        """Returns how far each edge of one sample is from its mean, in its std."""
        weight: Tensor = graph.edge_weight
        return (weight - self.mean) / self.std


class CollectionGraphs(Dataset[Data]):
    """A data set with a graph for each sample of a collection.

    A sample's graph is built when it is asked for, from arrays that are mapped from
    disk: memory holds no sample, and reading runs no code. ``y`` is the sample's label,
    ``sample`` its number. What samples have in common, nodes and edges, their graphs
    share.

    Args:
        collection: The collection.
        scale: If given, how far each edge is from its mean is a third column of
            ``edge_attr``.

    Raises:
        DataError: If an array or the table of samples is not whole.

    Example:
        ``DataLoader(CollectionGraphs(collection), batch_size=64, shuffle=True)``, with
        the loader of ``torch_geometric.loader``.
    """

    def __init__(self, collection: Collection, scale: EdgeScale | None = None) -> None:
        self.collection = collection
        self.scale = scale
        self.labels = collection.column("label")
        places = range(len(collection.stages))
        self.weights = [collection.weights(place) for place in places]
        stages = collection.stages
        self.shared = stages_graph(
            [stage.nodes for stage in stages],
            [stage.edges for stage in stages],
            [weights[0] for weights in self.weights],
            [stage.constant for stage in stages],
        )

    def __len__(self) -> int:
        """Returns the number of samples."""
        return self.collection.samples

    def __getitem__(self, index: int) -> Data:
        """Returns the graph of a sample."""
        place = range(len(self))[index]
        label = torch.tensor(self.labels[place])
        graph = sample_graph(self.shared, self.weights, place, label)
        if self.scale is not None:
            deviations = self.scale.deviations(graph)[:, None]
            graph.edge_attr = torch.cat([graph.edge_attr, deviations], 1)
        return graph


def all_weights(collection: Collection) -> Float[np.ndarray, "samples edges"]:
    """Returns the weights of all stages beside each other.

    Raises:
        DataError: If an array is not whole, or holds what is no number.
    """
    weights = collection.rows()
    if not np.isfinite(weights).all():
        raise DataError(f"{collection.folder} must hold finite weights, got others")
    return weights
