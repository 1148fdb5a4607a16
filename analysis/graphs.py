"""Wirings of samples as PyTorch Geometric graphs, exact both ways."""

import networkx as nx
import torch
from jaxtyping import Float
from torch import Tensor
from torch_geometric.data import Data  # slow to import: seconds

from ddw_graph.errors import DataError
from ddw_graph.wiring import edge_list


def sample_graph(dag: nx.DiGraph, adjacency: Float[Tensor, "nodes nodes"]) -> Data:
    """Returns one sample's wiring as a graph of PyTorch Geometric.

    Every edge of the wiring is there, closed ones with weight 0, which turning a dense
    matrix sparse would lose. ``edge_index`` has sources above targets: the transpose of
    an adjacency, whose rows hear columns.

    Args:
        dag: The wiring.
        adjacency: The sample's multipliers; ``[j, i]`` belongs to edge ``i -> j``.

    Returns:
        A graph with ``edge_index``, ``edge_weight``, and a column ``x`` for each node's
        place in the topological order, from 0 at the input to 1 at the output.

    Raises:
        DataError: If the adjacency has another size.

    Example:
        >>> from ddw_graph.generators import vgg
        >>> sample_graph(vgg(1), torch.ones(3, 3).tril(-1)).edge_index
        tensor([[0, 1],
                [1, 2]])
    """
    nodes = dag.number_of_nodes()
    if adjacency.shape != (nodes, nodes):
        raise DataError(
            f"an adjacency must be {nodes} x {nodes}, got {tuple(adjacency.shape)}"
        )
    edges = torch.tensor(edge_list(dag)).T.contiguous()
    place = torch.linspace(0, 1, nodes)[:, None]
    weight = adjacency[edges[1], edges[0]]
    return Data(x=place, edge_index=edges, edge_weight=weight, num_nodes=nodes)


def sample_adjacency(graph: Data) -> Float[Tensor, "nodes nodes"]:
    """Returns the adjacency that ``sample_graph`` made a graph of."""
    weight: Tensor = graph.edge_weight
    matrix = weight.new_zeros(graph.num_nodes, graph.num_nodes)
    matrix[graph.edge_index[1], graph.edge_index[0]] = weight
    return matrix
