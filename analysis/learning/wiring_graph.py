"""A network's wirings as one graph of PyTorch Geometric, exact both ways."""

from collections.abc import Sequence
from copy import copy

import networkx as nx
import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Shaped
from torch import Tensor
from torch_geometric.data import Data  # slow to import: seconds

from ddw_graph.errors import DataError
from ddw_graph.wiring import edge_list, from_dict, to_dict

NODE_FEATURES = ("place", "in_degree", "out_degree", "input", "output", "stage")
"""Columns of ``x``: place in the topological order and in the chain of stages, both
from 0 to 1; how many nodes it hears and feeds; whether it is input or output."""

EDGE_FEATURES = ("weight", "constant")
"""Columns of ``edge_attr``."""

Edges = Int[np.ndarray, "_ 2"]
Weights = Float[np.ndarray, " _"]
"""Of one of several stages, each with as many edges as it has."""


def stages_graph(
    sizes: Sequence[int],
    edges: Sequence[Edges],
    weights: Sequence[Weights],
    constant: Sequence[Bool[np.ndarray, " _"]],
) -> Data:
    """Returns the stages of a network as one graph, beside each other.

    One graph, since what is to be told of a sample may need several of its stages, and
    so that a sample is one graph with one label. No edge is added between stages: the
    edges are those of the wirings, in their order, closed ones with weight 0 among
    them.

    Args:
        sizes: N of each stage.
        edges: Source and target of each edge of each stage.
        weights: The weight of each edge.
        constant: Whether an edge's weight is a constant of the wiring.

    Returns:
        A graph with ``x`` (``NODE_FEATURES``), ``edge_index`` (sources above targets),
        ``edge_weight`` and ``edge_constant``, both again in ``edge_attr``
        (``EDGE_FEATURES``) as what a network reads; ``node`` and ``node_stage``, each
        node's number in its stage and the number of that, from 0.

    Raises:
        DataError: If lengths do not go together.

    Example:
        >>> chain = np.array([(0, 1), (1, 2)])
        >>> half, yes = np.array([0.5, 0.5], np.float32), np.array([True, True])
        >>> graph = stages_graph([3, 3], [chain, chain], [half, half], [yes, yes])
        >>> graph.edge_index
        tensor([[0, 1, 3, 4],
                [1, 2, 4, 5]])
    """
    for stage, parts in enumerate(zip(edges, weights, constant, strict=True)):
        if len({len(part) for part in parts}) != 1:
            told = ", ".join(str(len(part)) for part in parts)
            raise DataError(
                "edges, weights and whether they are constant must be as many, "
                f"got {told} in stage {stage + 1}"
            )
    starts = np.cumsum([0, *sizes])
    shifted = [pairs + start for pairs, start in zip(edges, starts, strict=False)]
    index = torch.from_numpy(np.concatenate(shifted).astype(np.int64).T.copy())
    weight = torch.from_numpy(np.concatenate(weights).astype(np.float32))
    fixed = torch.from_numpy(np.concatenate(constant))
    last = max(len(sizes) - 1, 1)
    return Data(
        x=torch.cat(
            [
                node_features(size, pairs, stage / last)
                for stage, (size, pairs) in enumerate(zip(sizes, edges, strict=True))
            ]
        ),
        edge_index=index,
        edge_weight=weight,
        edge_constant=fixed,
        edge_attr=torch.stack([weight, fixed.float()], 1),
        node=torch.cat([torch.arange(size) for size in sizes]),
        node_stage=torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)),
    )


def sample_graph(
    shared: Data,
    weights: Sequence[Float[np.ndarray, "_ _"]],
    sample: int,
    label: Shaped[Tensor, ""] | None = None,
) -> Data:
    """Returns the graph of one of several samples.

    Args:
        shared: A graph of ``stages_graph``: what the samples have in common.
        weights: For each stage the weights of all samples, float32, ``(samples,
            edges)``.
        sample: Which sample, from 0; it becomes the graph's ``sample``.
        label: The sample's label, which becomes the graph's ``y``.
    """
    graph = copy(shared)
    own = np.concatenate([array[sample] for array in weights])
    graph.edge_weight = torch.from_numpy(own)
    graph.edge_attr = torch.stack([graph.edge_weight, graph.edge_constant.float()], 1)
    graph.sample = torch.tensor([sample])
    if label is not None:
        graph.y = label.reshape(1).clone()
    return graph


def node_features(
    size: int, edges: Edges, stage: float
) -> Float[Tensor, "nodes features"]:
    """Returns what is known of a stage's nodes: ``NODE_FEATURES``.

    Args:
        size: N of the stage.
        edges: Source and target of each edge.
        stage: Place of the stage, from 0 for the first to 1 for the last.

    Example:
        >>> node_features(3, np.array([(0, 1), (0, 2), (1, 2)]), 0.5)[1]
        tensor([0.5000, 1.0000, 1.0000, 0.0000, 0.0000, 0.5000])
    """
    source, target = edges.T
    features = torch.zeros(size, len(NODE_FEATURES))
    features[:, 0] = torch.linspace(0, 1, size)
    features[:, 1] = torch.from_numpy(np.bincount(target, minlength=size))
    features[:, 2] = torch.from_numpy(np.bincount(source, minlength=size))
    features[0, 3] = 1
    features[-1, 4] = 1
    features[:, 5] = stage
    return features


def wirings_graph(wirings: Sequence[nx.DiGraph]) -> Data:
    """Returns a network's wirings as one graph, every edge a constant 1.

    Example:
        >>> from ddw_graph.generators import vgg
        >>> wirings_graph([vgg(1), vgg(2)]).num_edges
        5
    """
    edges = [np.array(edge_list(dag)) for dag in wirings]
    return stages_graph(
        [len(dag) for dag in wirings],
        edges,
        [np.ones(len(pairs), np.float32) for pairs in edges],
        [np.ones(len(pairs), np.bool_) for pairs in edges],
    )


def graph_wirings(graph: Data) -> list[nx.DiGraph]:
    """Returns the wirings that a graph was made of, however its nodes are numbered.

    Example:
        >>> from ddw_graph.generators import vgg
        >>> (dag,) = graph_wirings(wirings_graph([vgg(2)]))
        >>> dag.edges == vgg(2).edges
        True
    """
    stage, node = graph.node_stage, graph.node
    source, target = graph.edge_index
    wirings = []
    for place in range(int(stage.max()) + 1):
        here = stage[source] == place
        pairs = torch.stack([node[source[here]], node[target[here]]], 1)
        dag: nx.DiGraph = nx.DiGraph()
        dag.add_nodes_from(range(int((stage == place).sum())))
        dag.add_edges_from(map(tuple, pairs.tolist()))
        # Checked, and with the edges in a wiring's own order.
        wirings.append(from_dict(to_dict(dag)))
    return wirings


def graph_weights(graph: Data) -> list[Weights]:
    """Returns the weights that ``stages_graph`` was given, stage by stage."""
    stage = graph.node_stage[graph.edge_index[0]]
    weight: Tensor = graph.edge_weight
    return [
        weight[stage == place].numpy()
        for place in range(int(graph.node_stage.max()) + 1)
    ]
